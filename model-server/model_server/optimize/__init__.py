"""`model-server optimize`: converts a SavedModel or Keras model to a faster form, or refuses.

The small image without TensorFlow can serve the result. The result is published only if its answers
to pictures match those of the source within bounds set by the user.
"""

from model_server.optimize.command import main

__all__ = ["main"]
