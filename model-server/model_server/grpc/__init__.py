"""The gRPC side: the Open Inference Protocol's service and its messages.

The only package that imports grpcio; it imports nothing of HTTP.
"""
