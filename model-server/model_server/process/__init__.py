"""gunicorn processes: a master that forks and workers that load models and serve them.

The only package that imports gunicorn.
"""
