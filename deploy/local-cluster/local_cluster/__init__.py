"""A real Kubernetes cluster on a machine without Docker.

The package exists so that everything the operator does is proven against the real programs of
Kubernetes and real containers, also where no image registry can be reached. It knows nothing of
the operator or the model server beyond the folders their images are built from, and must not
import them.
"""
