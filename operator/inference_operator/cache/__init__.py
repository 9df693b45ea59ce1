"""Observed cluster state, reduced to what the operator needs. No IO."""
