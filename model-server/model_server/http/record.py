"""What is told of a request that has ended: its log line, its metrics and its span.

Knows nothing of where a request ends: in Flask's hooks, or before Flask when it is refused.
"""

import logging
import time

from flask import Request

from model_server.logs import REQUEST_LOGGER
from model_server.request.context import RequestContext
from model_server.request.tracing import HEADER, HEADERS, Ended, trace_of
from model_server.serving.state import State

_log = logging.getLogger(REQUEST_LOGGER)
_METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}


class Record:
    """The end of one request, also after Flask has let go of it.

    Args:
        current: Its metrics count the request, its spans are told of it.
        request: With the rule that its URL matched, if there is one.
        context: With the stages of the request.
        started: When the request began, in `time.perf_counter()` seconds.
        error: The error's code; empty if there is none.
    """

    def __init__(
        self, current: State, request: Request, context: RequestContext, started: float, error: str
    ) -> None:
        self._state = current
        self._context = context
        self._started = started
        self._error = error
        self._method, self._path = request.method, request.path
        self._scheme = request.scheme
        self._headers = {name: request.headers[name] for name in HEADERS if name in request.headers}
        self._request_bytes = request.content_length or 0
        # The rule, not the path: clients must not be able to make up label values.
        self._routed = request.url_rule is not None
        self._endpoint = request.url_rule.rule if request.url_rule else "unmatched"

    def write(self, status: int, response_bytes: int) -> None:
        """Counts and logs the request."""
        context = self._context
        seconds = time.perf_counter() - self._started
        metrics = self._state.metrics
        metrics.requests.labels(self._endpoint, context.model, str(status)).inc()
        metrics.request_seconds.labels(self._endpoint).observe(seconds)
        metrics.observe_stages(context.model, context.stages)
        if "inference" in context.stages:
            metrics.batch_size.labels(context.model).observe(context.batch_size)
        if status >= 400:
            metrics.errors.labels(self._endpoint, self._error).inc()
        span = self._span(status, response_bytes, seconds)
        if not _log.isEnabledFor(logging.INFO):
            return
        _log.info(
            "%s %s %s",
            self._method,
            self._path,
            status,
            extra={
                "request_id": context.request_id,
                **trace_of(self._headers.get(HEADER, "")),
                **span,
                "model": context.model,
                "status": status,
                "error": self._error,
                "milliseconds": round(seconds * 1000, 2),
                "stages_ms": {name: round(s * 1000, 2) for name, s in context.stages.items()},
                "request_bytes": self._request_bytes,
                "response_bytes": response_bytes,
            },
        )

    def _span(self, status: int, response_bytes: int, seconds: float) -> dict[str, str]:
        """Tells of the request; gives its span's ids."""
        spans = self._state.spans
        if spans is None:
            return {}
        # Clients must not be able to make up names of spans.
        method = self._method if self._method in _METHODS else "HTTP"
        attributes: dict[str, str | int] = {
            "http.request.method": self._method if self._method in _METHODS else "_OTHER",
            "http.response.status_code": status,
            "http.request.body.size": self._request_bytes,
            "http.response.body.size": response_bytes,
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
                status >= 500,
                self._started,
                seconds,
                self._context,
            )
        )
