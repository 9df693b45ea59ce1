"""Model formats, one module each; nothing outside this package imports LiteRT, TensorFlow or Keras.

`loading` imports only the module for the model's format, so serving `tflite` never pays for
TensorFlow.
"""
