"""Wraps every gRPC call: context before it, error status and recording after it."""

import math
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import grpc
from google.protobuf.message import Message

from model_server.errors import RequestError
from model_server.grpc.record import OpenCall, status_of
from model_server.request.context import RequestContext
from model_server.request.recorder import as_request_error
from model_server.request.tracing import HEADERS
from model_server.serving.state import State

REQUEST_ID = "x-request-id"
Method = Callable[[Any, RequestContext], Message]
# Not recorded, like /v2/health/live and /v2/health/ready over HTTP.
_PROBES = {"ServerLive", "ServerReady"}


class Progress(NamedTuple):
    """Calls started so far, and those still in progress."""

    begun: int
    inside: int


class Calls:
    """Runs and records calls, and counts those in progress."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._progress = Progress(0, 0)
        self._changing = threading.Lock()

    @property
    def progress(self) -> Progress:
        """Calls started and in progress."""
        return self._progress

    def guarded(self, name: str, method: Method) -> Callable[[Any, grpc.ServicerContext], Message]:
        """Wraps a method of the service for grpcio.

        Args:
            name: Name of the method in the protocol.
            method: The method; may raise any exception.
        """

        def handle(message: Any, call: grpc.ServicerContext) -> Message:
            context = self._context(call)
            call.set_trailing_metadata(((REQUEST_ID, context.request_id),))
            opened = OpenCall(name, _trace_headers(call), context, time.perf_counter())
            answer: Message | None = None
            error: RequestError | None = None
            with self._counted(context):
                try:
                    answer = method(message, context)
                except Exception as raised:  # noqa: BLE001 - no client sees what failed inside
                    error = as_request_error(raised, context)
            if name not in _PROBES:
                sizes = (message.ByteSize(), answer.ByteSize() if answer else 0)
                self._state.recorder.record(opened.finished(error, *sizes))
            if answer is None or error is not None:
                call.abort(status_of(error), error.message if error else "")
            return answer

        return handle

    def _context(self, call: grpc.ServicerContext) -> RequestContext:
        sent = dict(call.invocation_metadata() or ()).get(REQUEST_ID)
        seconds = call.time_remaining() or math.inf  # None if the client set no deadline
        return self._state.new_context(sent, lambda: not call.is_active(), seconds)

    @contextmanager
    def _counted(self, context: RequestContext) -> Iterator[None]:
        self._count(begun=1, inside=1)
        try:
            yield
        finally:
            context.close()
            self._count(begun=0, inside=-1)

    def _count(self, begun: int, inside: int) -> None:
        with self._changing:
            before = self._progress
            self._progress = Progress(before.begun + begun, before.inside + inside)


def _trace_headers(call: grpc.ServicerContext) -> dict[str, str]:
    """Trace headers from the call's metadata."""
    sent = dict(call.invocation_metadata() or ())
    return {name: value for name in HEADERS if isinstance(value := sent.get(name), str)}
