"""The operator: reconciles InferenceService resources into Kubernetes workloads."""
