"""Turns a gRPC call into a `FinishedRequest` and errors into status codes."""

import time
from dataclasses import dataclass

import grpc

from model_server import errors
from model_server.errors import RequestError
from model_server.grpc.service import SERVICE
from model_server.request.context import RequestContext
from model_server.request.finished import FinishedRequest

_STATUSES: dict[type[RequestError], grpc.StatusCode] = {
    errors.UnknownModel: grpc.StatusCode.NOT_FOUND,
    # Not UNAVAILABLE: a retry does not help.
    errors.ModelNotServed: grpc.StatusCode.FAILED_PRECONDITION,
    errors.WrongTask: grpc.StatusCode.FAILED_PRECONDITION,
    errors.PayloadTooLarge: grpc.StatusCode.RESOURCE_EXHAUSTED,
    errors.ImageTooLarge: grpc.StatusCode.RESOURCE_EXHAUSTED,
    # Not RESOURCE_EXHAUSTED: clients and proxies retry UNAVAILABLE.
    errors.Overloaded: grpc.StatusCode.UNAVAILABLE,
    errors.DeadlineExceeded: grpc.StatusCode.DEADLINE_EXCEEDED,
    errors.ClientGone: grpc.StatusCode.CANCELLED,
    errors.InferenceFailed: grpc.StatusCode.INTERNAL,
}
# Server errors by OpenTelemetry's semantic conventions.
_SERVER_FAULTS = {
    grpc.StatusCode.DATA_LOSS,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.INTERNAL,
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.UNIMPLEMENTED,
    grpc.StatusCode.UNKNOWN,
}


def status_of(error: RequestError | None) -> grpc.StatusCode:
    """The status code for an error; OK for None."""
    if error is None:
        return grpc.StatusCode.OK
    return _STATUSES.get(type(error), grpc.StatusCode.INVALID_ARGUMENT)


@dataclass(frozen=True)
class OpenCall:
    """Data of a call, kept until it is answered.

    Attributes:
        method: Name of the method in the protocol.
        headers: Trace headers.
        context: Context of the call.
        started: `time.perf_counter()` seconds.
    """

    method: str
    headers: dict[str, str]
    context: RequestContext
    started: float

    def finished(
        self, error: RequestError | None, request_bytes: int, response_bytes: int
    ) -> FinishedRequest:
        """The finished call; `error` is None for success."""
        status, code = status_of(error), error.code if error else ""
        attributes: dict[str, str | int] = {
            "rpc.system.name": "grpc",
            "rpc.method": f"{SERVICE}/{self.method}",
            "rpc.response.status_code": status.name,
        }
        if code:
            attributes["error.type"] = code
        return FinishedRequest(
            endpoint=f"/{SERVICE}/{self.method}",
            line=f"gRPC {self.method} {status.name}",
            status=status.name,
            error=code,
            server_fault=status in _SERVER_FAULTS,
            request_bytes=request_bytes,
            response_bytes=response_bytes,
            headers=self.headers,
            span_name=f"{SERVICE}/{self.method}",
            attributes=attributes,
            started=self.started,
            seconds=time.perf_counter() - self.started,
            context=self.context,
        )
