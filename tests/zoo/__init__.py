"""Models as people bring them, each with what its own framework says of a few pictures.

`make zoo` goes through all of it, `test_zoo.py` through a bounded part.
"""
