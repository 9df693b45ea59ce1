"""Turns each answered request into a log line, metrics and a span, for HTTP and gRPC alike.

Callers do not record health probes, which would drown out the requests.
"""

import logging

from model_server.errors import InferenceFailed, ModelServerError, RequestError
from model_server.logs import REQUEST_LOGGER
from model_server.request.context import RequestContext
from model_server.request.finished import FinishedRequest
from model_server.request.metrics import Metrics
from model_server.request.tracing import TRACEPARENT, Spans, trace_of

_log = logging.getLogger(REQUEST_LOGGER)
_failures = logging.getLogger("model_server")


class Recorder:
    """Records the requests of one worker process.

    Attributes:
        traces: Whether spans are exported; requests then keep a timeline of their stages.
    """

    def __init__(self, metrics: Metrics, spans: Spans | None = None) -> None:
        self._metrics = metrics
        self._spans = spans
        self.traces = spans is not None

    def record(self, request: FinishedRequest) -> None:
        """Records a request."""
        self._count(request)
        span = self._spans.record(request) if self._spans is not None else {}
        if _log.isEnabledFor(logging.INFO):
            _log.info("%s", request.line, extra=_fields(request) | span)

    def _count(self, request: FinishedRequest) -> None:
        context, metrics = request.context, self._metrics
        metrics.requests.labels(request.endpoint, context.model, str(request.status)).inc()
        metrics.request_seconds.labels(request.endpoint).observe(request.seconds)
        metrics.observe_stages(context.model, context.stages)
        if "inference" in context.stages:
            metrics.batch_size.labels(context.model).observe(context.batch_size)
        if request.error:
            metrics.errors.labels(request.endpoint, request.error).inc()


def _fields(request: FinishedRequest) -> dict[str, object]:
    context = request.context
    return {
        "request_id": context.request_id,
        **trace_of(request.headers.get(TRACEPARENT, "")),
        "model": context.model,
        "status": request.status,
        "error": request.error,
        "milliseconds": round(request.seconds * 1000, 2),
        "stages_ms": {name: round(s * 1000, 2) for name, s in context.stages.items()},
        "request_bytes": request.request_bytes,
        "response_bytes": request.response_bytes,
    }


def as_request_error(error: Exception, context: RequestContext) -> RequestError:
    """The error for the client. An unexpected exception is logged and its details are withheld."""
    if isinstance(error, RequestError):
        return error
    ids = {"request_id": context.request_id}
    if isinstance(error, ModelServerError):
        _failures.error("request failed: %s", error.message, extra=ids)
    else:
        _failures.error("request failed", exc_info=error, extra=ids)
    return InferenceFailed(
        f"internal error; the server log has the details (request ID {context.request_id})"
    )
