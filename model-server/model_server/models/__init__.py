"""One module per model format; the only places that import LiteRT, TensorFlow or Keras.

`loading` finds out which format a path is and imports that module alone: serving `tflite` must
never pay for TensorFlow.
"""
