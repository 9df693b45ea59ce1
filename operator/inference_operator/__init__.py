"""The operator: reconciles InferenceService resources into Kubernetes workloads."""

__version__ = "0.1.0"
