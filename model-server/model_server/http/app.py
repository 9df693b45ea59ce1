"""The Flask application factory. Takes everything it needs as arguments."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from flask import Flask

from model_server.http.blueprints import register_blueprints
from model_server.http.errors import register_error_handlers
from model_server.http.lifecycle import register_lifecycle
from model_server.http.shedding import Shedding
from model_server.request.budgets import BodyBudget
from model_server.request.gate import Gate
from model_server.request.metrics import Metrics
from model_server.request.recorder import Recorder
from model_server.request.tracing import Spans
from model_server.serving.capacity import concurrency
from model_server.serving.registry import Registry
from model_server.serving.state import State
from model_server.settings import Settings

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment


def create_app(settings: Settings, registry: Registry, spans: Spans | None = None) -> Flask:
    """Creates the application.

    Args:
        settings: Limits and defaults.
        registry: Loaded models.
        spans: Exports spans; None if tracing is off.
    """
    app = Flask("model_server", static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = settings.max_body_bytes
    app.config["MAX_FORM_MEMORY_SIZE"] = settings.max_body_bytes
    app.json.sort_keys = False  # type: ignore[attr-defined]  # of Flask's default provider
    metrics = Metrics()
    current = app.extensions["model_server"] = State(
        settings,
        registry,
        metrics,
        Recorder(metrics, spans),
        Gate(concurrency(settings), settings.queue_size),
        BodyBudget(settings.max_waiting_bytes),
    )
    for name in registry.names:
        model = registry.get(name)
        metrics.model_info.labels(name, model.info.format, model.task).set(1)
    for name in registry.not_served:
        metrics.model_load_failed.labels(name).set(1)
    register_error_handlers(app)
    register_lifecycle(app)
    register_blueprints(app)
    app.wsgi_app = _one_leading_slash(Shedding(app, current))  # type: ignore[assignment,method-assign]
    return app


def _one_leading_slash(application: "WSGIApplication") -> "WSGIApplication":
    """Treats `//predict` as `/predict`, for clients that append a path to a URL ending in a slash.

    Flask would redirect, and not every client repeats its body.
    """

    def wrapped(environ: "WSGIEnvironment", start_response: "StartResponse") -> "Iterable[bytes]":
        path = environ.get("PATH_INFO", "")
        if path.startswith("//"):
            environ["PATH_INFO"] = "/" + path.lstrip("/")
        return application(environ, start_response)

    return wrapped
