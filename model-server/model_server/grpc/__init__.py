"""gRPC: the Open Inference Protocol service. The only user of grpcio; independent of HTTP."""
