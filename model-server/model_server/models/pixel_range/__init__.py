"""Finds out which range of pixels a model's picture input takes, and how that is known.

`tensorflow_graph` and `tflite_graph` follow the picture through a model's graph up to the first
operator that learns from it; `affine` says what has become of a pixel by then; `families` knows
architectures by their layers; `decision` works out the range from all of these, or says that it is
assumed. `examine` is the entry for the formats.
"""
