"""Determines which pixel range a model's picture input takes, and on what evidence.

`tensorflow_graph` and `tflite_graph` follow the picture through a model's graph to the first layer
with learned weights; `affine` describes how the pixels have changed by then; `families` recognizes
architectures by their layers; `decision` derives the range from all of these, or marks it as
assumed. `examine` is the entry point for the model formats.
"""
