"""The InferenceService API: from the body of a resource to typed values. Pure."""
