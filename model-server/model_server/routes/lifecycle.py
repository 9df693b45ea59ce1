"""What surrounds every request: its context before, its log line and metrics after.

One JSON log line a request, with an id that the client can send (`X-Request-Id`) and gets back.
"""

import logging
import re
import socket
import time
import uuid

from flask import Flask, Response, g, request

from model_server.context import RequestContext
from model_server.logs import REQUEST_LOGGER
from model_server.routes.state import request_context, state

_log = logging.getLogger(REQUEST_LOGGER)
_REQUEST_ID = "X-Request-Id"
_SAFE_ID = re.compile(r"[A-Za-z0-9._:/+=@-]{1,128}")
# Probes and scrapes come every few seconds and would bury the requests.
_QUIET = {"/healthz", "/readyz", "/metrics"}


def register_lifecycle(app: Flask) -> None:
    """Hooks the functions below into the application."""
    app.before_request(_begin)
    app.after_request(_finish)


def _begin() -> None:
    settings = state().settings
    wanted = request.headers.get(_REQUEST_ID, "")
    connection = request.environ.get("gunicorn.socket")
    g.started = time.perf_counter()
    g.context = RequestContext(
        request_id=wanted if _SAFE_ID.fullmatch(wanted) else uuid.uuid4().hex,
        deadline=time.monotonic() + settings.timeout_seconds,
    )
    if isinstance(connection, socket.socket):
        g.context.client_gone = lambda: hung_up(connection)


def hung_up(connection: socket.socket) -> bool:
    """Whether the other side has closed; looks without taking anything from the connection."""
    try:
        return connection.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True


def _finish(response: Response) -> Response:
    context = request_context()
    response.headers[_REQUEST_ID] = context.request_id
    if request.path in _QUIET:
        return response
    seconds = time.perf_counter() - g.started
    _count(response, context, seconds)
    _log.info(
        "%s %s %s",
        request.method,
        request.path,
        response.status_code,
        extra={
            "request_id": context.request_id,
            "model": context.model,
            "status": response.status_code,
            "error": g.get("error_code", ""),
            "milliseconds": round(seconds * 1000, 2),
            "stages_ms": {name: round(s * 1000, 2) for name, s in context.stages.items()},
            "request_bytes": request.content_length or 0,
            "response_bytes": response.content_length or 0,
        },
    )
    return response


def _count(response: Response, context: RequestContext, seconds: float) -> None:
    metrics = state().metrics
    # The rule, not the path: clients must not be able to make up label values.
    endpoint = request.url_rule.rule if request.url_rule else "unmatched"
    metrics.requests.labels(endpoint, context.model, str(response.status_code)).inc()
    metrics.request_seconds.labels(endpoint).observe(seconds)
    metrics.observe_stages(context.model, context.stages)
    if "inference" in context.stages:
        metrics.batch_size.labels(context.model).observe(context.batch_size)
    if response.status_code >= 400:
        metrics.errors.labels(endpoint, g.get("error_code", "")).inc()
