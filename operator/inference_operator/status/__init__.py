"""Pure functions from observed state to the status of an InferenceService."""
