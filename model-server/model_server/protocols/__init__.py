"""The protocols: requests to typed calls of the data plane, its results to documents.

Knows no web framework, so that HTTP and gRPC share it.
"""
