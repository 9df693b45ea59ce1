"""What every request goes through: context, admission, memory budgets, metrics, tracing.

Knows neither HTTP nor gRPC, no protocol and no model.
"""
