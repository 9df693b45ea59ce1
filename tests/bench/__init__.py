"""Measures this software against the physical limit and against what users would pick instead.

Nothing here is imported by the product, and nothing here runs in ``make test`` but the small test
that holds that the harness itself works. Modules under ``peers`` and ``vision`` also run inside
other virtual environments, so they import nothing but the standard library, NumPy, OpenCV and
the engine.
"""
