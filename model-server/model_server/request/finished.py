"""An answered request, as the recorder takes it from HTTP and gRPC."""

from collections.abc import Mapping
from dataclasses import dataclass

from model_server.request.context import RequestContext


@dataclass(frozen=True)
class FinishedRequest:
    """An answered request.

    Attributes:
        endpoint: Route or method, as a label of metrics: never built from client input.
        line: Message of the log line.
        status: HTTP status number or gRPC status name.
        error: Error code; empty for success.
        server_fault: Whether the error is the server's fault.
        request_bytes: Size of the request body or message.
        response_bytes: Size of the response body or message.
        headers: The request's `tracing.HEADERS`.
        span_name: Name of the span: never built from client input.
        attributes: Span attributes, named by OpenTelemetry's semantic conventions.
        started: `time.perf_counter()` seconds.
        seconds: Duration.
        context: Model and stages of the request.
    """

    endpoint: str
    line: str
    status: int | str
    error: str
    server_fault: bool
    request_bytes: int
    response_bytes: int
    headers: Mapping[str, str]
    span_name: str
    attributes: Mapping[str, str | int]
    started: float
    seconds: float
    context: RequestContext
