"""Protocols: parse requests, call the data plane, build responses. Shared by HTTP and gRPC."""
