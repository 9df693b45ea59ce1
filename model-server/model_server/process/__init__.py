"""gunicorn processes: a master that forks workers, which load and serve models.

The only package that imports gunicorn.
"""
