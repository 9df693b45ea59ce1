"""The current application's state and the current request's context, typed.

Flask keeps extensions in an untyped dictionary; this is the only module that reads it.
"""

from typing import cast

from flask import current_app, g

from model_server.request.context import RequestContext
from model_server.serving.state import State


def state() -> State:
    """The current application's."""
    return cast(State, current_app.extensions["model_server"])


def request_context() -> RequestContext:
    """The current request's; made by `lifecycle` before any route runs."""
    return cast(RequestContext, g.context)
