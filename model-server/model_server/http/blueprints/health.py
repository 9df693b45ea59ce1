"""Liveness, readiness and metrics, for Kubernetes and Prometheus.

These answer at once, whatever the model is busy with: they never enter the queue.
"""

from flask import Blueprint, Response, jsonify

from model_server.errors import UnknownPath
from model_server.http.current import state
from model_server.request.metrics import CONTENT_TYPE

blueprint = Blueprint("health", __name__)


@blueprint.get("/healthz")
def healthz() -> Response:
    """200 while the process can answer at all."""
    return jsonify(status="alive")


@blueprint.get("/readyz")
def readyz() -> Response:
    """200 with the models' names.

    A worker accepts connections only after each of its models has done a real inference, so
    whoever reaches this has reached a ready worker; before that, the connection waits.
    """
    return jsonify(status="ready", models=list(state().registry.names))


@blueprint.get("/metrics")
def metrics() -> Response:
    """Prometheus's text format."""
    current = state()
    if not current.settings.public_metrics:
        raise UnknownPath("there is nothing at /metrics on this port; --probe-port has it")
    return Response(current.metrics_page(), content_type=CONTENT_TYPE)
