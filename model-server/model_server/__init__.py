"""The model server: detection and classification over HTTP and gRPC."""

__version__ = "0.1.0"
