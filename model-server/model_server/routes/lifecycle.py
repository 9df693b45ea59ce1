"""What surrounds every request: its context before, its log line and metrics after.

One JSON log line a request, with an id that the client can send (`X-Request-Id`) and gets back.
"""

import logging
import re
import socket
import time
import uuid
from collections.abc import Iterator

from flask import Flask, Response, g, request

from model_server.context import RequestContext, Timeline
from model_server.errors import UnsupportedMediaType
from model_server.logs import REQUEST_LOGGER
from model_server.routes.state import State, request_context, state
from model_server.tracing import HEADER, HEADERS, Ended, trace_of

_log = logging.getLogger(REQUEST_LOGGER)
_REQUEST_ID = "X-Request-Id"
_SAFE_ID = re.compile(r"[A-Za-z0-9._:/+=@-]{1,128}")
# Probes and scrapes come every few seconds and would bury the requests.
_QUIET = {"/healthz", "/readyz", "/metrics", "/v2/health/live", "/v2/health/ready"}
_METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}


def register_lifecycle(app: Flask) -> None:
    """Hooks the functions below into the application."""
    app.before_request(_begin)
    app.after_request(_finish)
    app.teardown_request(_release)


def _begin() -> None:
    current = state()
    wanted = request.headers.get(_REQUEST_ID, "")
    connection = request.environ.get("gunicorn.socket")
    g.started = time.perf_counter()
    g.context = RequestContext(
        request_id=wanted if _SAFE_ID.fullmatch(wanted) else uuid.uuid4().hex,
        deadline=time.monotonic() + current.settings.timeout_seconds,
        timeline=Timeline() if current.spans else None,
    )
    if isinstance(connection, socket.socket):
        g.context.client_gone = lambda: hung_up(connection)
    if request.method == "POST":
        _refuse_compressed()
        most = current.settings.max_body_bytes
        announced = request.content_length
        size = most if announced is None else min(announced, most)
        current.bodies.reserve(size)
        g.reserved = size


def _refuse_compressed() -> None:
    encoding = request.headers.get("Content-Encoding", "identity")
    if encoding != "identity":
        raise UnsupportedMediaType(
            f"the content encoding {encoding} is not read; pictures are compressed already"
        )


def _release(_error: BaseException | None) -> None:
    reserved = g.pop("reserved", None)
    if reserved is not None:
        state().bodies.release(reserved)


def hung_up(connection: socket.socket) -> bool:
    """Whether the other side has closed; looks without taking anything from the connection."""
    try:
        return connection.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True


def streamed(
    blocks: Iterator[bytes], length: int, content_type: str, context: RequestContext
) -> Response:
    """A response that is made while it is sent.

    Its stage `encode` counts the making of the blocks, not the time that the client takes.
    """

    def timed() -> Iterator[bytes]:
        while True:
            with context.stage("encode"):
                block = next(blocks, None)
            if block is None:
                return
            yield block

    response = Response(timed(), content_type=content_type)
    response.content_length = length
    return response


def _finish(response: Response) -> Response:
    context = request_context()
    response.headers[_REQUEST_ID] = context.request_id
    response.call_on_close(context.close)
    if request.path in _QUIET:
        return response
    record = _Record()
    if response.is_streamed:
        response.call_on_close(lambda: record.write(response))
    else:
        record.write(response)
    return response


class _Record:
    """The end of one request: its log line and its metrics, also after Flask has let go of it."""

    def __init__(self) -> None:
        self._state: State = state()
        self._context = request_context()
        self._started: float = g.started
        self._error: str = g.get("error_code", "")
        self._method, self._path = request.method, request.path
        self._scheme = request.scheme
        self._headers = {name: request.headers[name] for name in HEADERS if name in request.headers}
        self._request_bytes = request.content_length or 0
        # The rule, not the path: clients must not be able to make up label values.
        self._routed = request.url_rule is not None
        self._endpoint = request.url_rule.rule if request.url_rule else "unmatched"

    def write(self, response: Response) -> None:
        """Counts and logs the request."""
        context, status = self._context, response.status_code
        seconds = time.perf_counter() - self._started
        metrics = self._state.metrics
        metrics.requests.labels(self._endpoint, context.model, str(status)).inc()
        metrics.request_seconds.labels(self._endpoint).observe(seconds)
        metrics.observe_stages(context.model, context.stages)
        if "inference" in context.stages:
            metrics.batch_size.labels(context.model).observe(context.batch_size)
        if status >= 400:
            metrics.errors.labels(self._endpoint, self._error).inc()
        trace = trace_of(self._headers.get(HEADER, "")) | self._span(response, seconds)
        _log.info(
            "%s %s %s",
            self._method,
            self._path,
            status,
            extra={
                "request_id": context.request_id,
                **trace,
                "model": context.model,
                "status": status,
                "error": self._error,
                "milliseconds": round(seconds * 1000, 2),
                "stages_ms": {name: round(s * 1000, 2) for name, s in context.stages.items()},
                "request_bytes": self._request_bytes,
                "response_bytes": response.content_length or 0,
            },
        )

    def _span(self, response: Response, seconds: float) -> dict[str, str]:
        """Tells of the request; gives its span's ids."""
        spans = self._state.spans
        if spans is None:
            return {}
        # Clients must not be able to make up names of spans.
        method = self._method if self._method in _METHODS else "HTTP"
        attributes: dict[str, str | int] = {
            "http.request.method": self._method if self._method in _METHODS else "_OTHER",
            "http.response.status_code": response.status_code,
            "http.request.body.size": self._request_bytes,
            "http.response.body.size": response.content_length or 0,
            "url.path": self._path,
            "url.scheme": self._scheme,
        }
        if self._routed:
            attributes["http.route"] = self._endpoint
        if self._error:
            attributes["error.type"] = self._error
        return spans.record(
            Ended(
                f"{method} {self._endpoint}" if self._routed else method,
                self._headers,
                attributes,
                response.status_code >= 500,
                self._started,
                seconds,
                self._context,
            )
        )
