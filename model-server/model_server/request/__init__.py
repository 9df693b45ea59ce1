"""Common to all requests: context, admission control, memory budgets, metrics, tracing.

Independent of HTTP, gRPC, protocols and models.
"""
