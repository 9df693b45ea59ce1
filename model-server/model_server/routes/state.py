"""What every route needs of the application, in one typed place.

Flask keeps extensions in an untyped dictionary; this is the only module that reads it.
"""

from dataclasses import dataclass, field
from typing import cast

from flask import current_app, g

from model_server.context import RequestContext
from model_server.gate import BodyBudget, Gate
from model_server.metrics import Metrics
from model_server.registry import Registry
from model_server.settings import Settings
from model_server.tracing import Spans


@dataclass(frozen=True)
class State:
    """Settings, models, metrics and the gate of one application; who is told of requests."""

    settings: Settings
    registry: Registry
    metrics: Metrics
    gate: Gate = field(default_factory=Gate)
    bodies: BodyBudget = field(default_factory=BodyBudget)
    spans: Spans | None = None


def state() -> State:
    """The current application's."""
    return cast(State, current_app.extensions["model_server"])


def request_context() -> RequestContext:
    """The current request's; made by `lifecycle` before any route runs."""
    return cast(RequestContext, g.context)
