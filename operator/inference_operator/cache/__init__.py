"""What was observed in the cluster, reduced to what the operator needs. No IO."""
