"""The server's processes under gunicorn: a master that forks, workers that load and serve.

The only package that imports gunicorn.
"""
