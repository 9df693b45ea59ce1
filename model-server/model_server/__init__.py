"""The model server: answers detection and classification requests over HTTP."""

__version__ = "0.1.0"
