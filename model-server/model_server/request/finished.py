"""A request that has been answered, as logs, metrics and spans need it; HTTP and gRPC alike."""

from collections.abc import Mapping
from dataclasses import dataclass

from model_server.request.context import RequestContext


@dataclass(frozen=True)
class FinishedRequest:
    """One answered request.

    Attributes:
        endpoint: Route or method, as metrics name it; one of a small set.
        line: The log line's message.
        status: HTTP's number or gRPC's name.
        error: Code of the error that was answered; empty if there was none.
        server_fault: Whether the server is to blame for the error.
        request_bytes: Size of the body or message that came.
        response_bytes: Size of the one that was sent.
        headers: Those of `tracing.HEADERS` that the request had.
        span_name: One of a small set.
        attributes: By the names of OpenTelemetry's semantic conventions.
        started: `time.perf_counter()` seconds.
        seconds: How long it took.
        context: With its model and its stages.
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
