"""Liveness, readiness and metrics, for Kubernetes and Prometheus.

They never enter the queue and answer even under full load.
"""

from flask import Blueprint, Response, jsonify

from model_server.errors import UnknownPath
from model_server.http.current import state
from model_server.request.metrics import CONTENT_TYPE

blueprint = Blueprint("health", __name__)


@blueprint.get("/healthz")
def healthz() -> Response:
    """200 while the process responds."""
    return jsonify(status="alive")


@blueprint.get("/readyz")
def readyz() -> Response:
    """200 with the served models, and the reason for each model that failed to load.

    A worker accepts connections only after its models have done an inference, so reaching this
    endpoint means that it is ready.
    """
    registry = state().registry
    return jsonify(
        status="ready", models=list(registry.names), not_served=dict(registry.not_served)
    )


@blueprint.get("/metrics")
def metrics() -> Response:
    """Prometheus text format."""
    current = state()
    if not current.settings.public_metrics:
        raise UnknownPath("there is nothing at /metrics on this port; --probe-port has it")
    return Response(current.metrics_page(), content_type=CONTENT_TYPE)
