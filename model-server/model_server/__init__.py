"""The model server: answers detection and classification requests over HTTP."""
