"""The work itself, the same for the limit and for every peer: decode, infer, encode.

Runs inside every contestant's own environment, so it needs only NumPy, Pillow and the engine. It
knows nothing of HTTP, of processes or of this software.
"""
