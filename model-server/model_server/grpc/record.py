"""A gRPC call as the recorder takes it, and gRPC's status for each error."""

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
    # Not UNAVAILABLE: trying again does not help.
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
# What OpenTelemetry's conventions count as the server's failures.
_SERVER_FAULTS = {
    grpc.StatusCode.DATA_LOSS,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.INTERNAL,
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.UNIMPLEMENTED,
    grpc.StatusCode.UNKNOWN,
}


def status_of(error: RequestError | None) -> grpc.StatusCode:
    """GRPC's status for an error; OK for none."""
    if error is None:
        return grpc.StatusCode.OK
    return _STATUSES.get(type(error), grpc.StatusCode.INVALID_ARGUMENT)


@dataclass(frozen=True)
class OpenCall:
    """What is kept of a call until it has been answered.

    Attributes:
        method: Its name in the protocol.
        headers: Metadata that says which trace it belongs to.
        context: With the stages of the call.
        started: `time.perf_counter()` seconds.
    """

    method: str
    headers: dict[str, str]
    context: RequestContext
    started: float

    def finished(
        self, error: RequestError | None, request_bytes: int, response_bytes: int
    ) -> FinishedRequest:
        """The call with its answer, or with the error that it ended in."""
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
