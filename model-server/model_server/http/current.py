"""Typed access to the state and the request context that Flask stores untyped."""

from typing import cast

from flask import current_app, g

from model_server.request.context import RequestContext
from model_server.serving.state import State


def state() -> State:
    """State of the current application."""
    return cast(State, current_app.extensions["model_server"])


def request_context() -> RequestContext:
    """Context of the current request, created by `lifecycle`."""
    return cast(RequestContext, g.context)
