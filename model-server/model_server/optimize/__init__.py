"""`model-server optimize`: a SavedModel or Keras model to a faster form of itself, or a refusal.

The result is served by the small image without TensorFlow. It is published only when its answers
to pictures are those of its source, within bounds that the user states.
"""

from model_server.optimize.command import main

__all__ = ["main"]
