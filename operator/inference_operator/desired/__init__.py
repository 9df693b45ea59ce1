"""Pure builders: from a parsed InferenceService to the manifests of its children."""
