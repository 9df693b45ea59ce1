"""Runs a real Kubernetes cluster on a machine without Docker.

It lets the operator be tested against real Kubernetes components and containers even where no image
registry is reachable. It knows the folders that the images are built from, and nothing else about
the operator and the model server; it must not import them.
"""
