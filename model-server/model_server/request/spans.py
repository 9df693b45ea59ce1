"""OpenTelemetry export: a span per request with a child per stage, by OTLP over HTTP.

The only module that imports OpenTelemetry; imported only if a collector is configured. Spans are
created after the request has ended, so that they can neither slow it down nor break it. Sampler,
headers, timeouts and resource are configured by the SDK's own environment variables.
"""

import logging
import os
import socket
import threading
import time

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Span, SpanKind, Status, StatusCode, set_span_in_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from model_server import __version__
from model_server.logs import limit_lines
from model_server.request.finished import FinishedRequest

# Otherwise an unreachable collector causes several log lines per second.
_LOG_SECONDS = 60.0
_NANOSECONDS = 1_000_000_000
_log = logging.getLogger("model_server")


class SpanExport:
    """Exports spans through one provider."""

    def __init__(self, provider: TracerProvider) -> None:
        self._provider = provider
        self._tracer = provider.get_tracer("model_server", __version__)
        self._propagator = TraceContextTextMapPropagator()

    def record(self, request: FinishedRequest) -> dict[str, str]:
        """Creates the request's spans.

        Returns:
            `trace_id` and `span_id`, in hex; empty if the request was not sampled.
        """
        # Read both clocks now: the wall clock may have been adjusted during the request.
        zero = time.time_ns() - time.perf_counter_ns()
        span = self._tracer.start_span(
            request.span_name,
            context=self._propagator.extract(request.headers),
            kind=SpanKind.SERVER,
            attributes=request.attributes,
            start_time=zero + _nanoseconds(request.started),
        )
        if not span.is_recording():
            return {}
        context = request.context
        span.set_attribute("model_server.request_id", context.request_id)
        if context.model:
            span.set_attribute("model_server.model", context.model)
        if "inference" in context.stages:
            span.set_attribute("model_server.batch_size", context.batch_size)
        if request.server_fault:
            span.set_status(Status(StatusCode.ERROR))
        self._record_stages(request, span, zero)
        span.end(zero + _nanoseconds(request.started + request.seconds))
        ids = span.get_span_context()
        return {"trace_id": f"{ids.trace_id:032x}", "span_id": f"{ids.span_id:016x}"}

    def _record_stages(self, request: FinishedRequest, parent: Span, zero: int) -> None:
        timeline = request.context.timeline
        if timeline is None:
            return
        inside = set_span_in_context(parent)
        for step in timeline.steps:
            child = self._tracer.start_span(
                step.stage,
                context=inside,
                attributes={"model_server.busy_seconds": step.busy},
                start_time=zero + _nanoseconds(step.started),
            )
            child.end(zero + _nanoseconds(step.ended))
        if timeline.left_out:
            parent.set_attribute("model_server.steps_left_out", timeline.left_out)

    def stop(self, seconds: float) -> None:
        """Exports queued spans for at most `seconds`, then shuts down."""
        # The SDK's own shutdown takes up to 30 seconds, and its force_flush has no limit.
        sending = threading.Thread(target=self._provider.shutdown, daemon=True)
        sending.start()
        sending.join(max(0.0, seconds))
        if sending.is_alive():
            _log.warning("the collector did not accept the last spans in time; they are lost")


def _nanoseconds(seconds: float) -> int:
    return int(seconds * _NANOSECONDS)


def start() -> SpanExport:
    """Starts the SDK, configured by its environment variables.

    Raises:
        Exception: of any type, by the SDK, if a variable is invalid.
    """
    limit_lines("opentelemetry", _LOG_SECONDS)
    ours: dict[str, str | int] = {
        "service.name": "model-server",
        "service.version": __version__,
        "host.name": socket.gethostname(),
        "process.pid": os.getpid(),
    }
    # Attributes passed to `create` would override the environment.
    theirs = OTELResourceDetector().detect().attributes
    resource = Resource.create({key: ours[key] for key in ours if key not in theirs})
    # `stop` is called earlier: at interpreter exit it would be too late.
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return SpanExport(provider)
