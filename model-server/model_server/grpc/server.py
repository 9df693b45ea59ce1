"""The Open Inference Protocol over gRPC, on a port of its own in every worker process.

The same data plane, the same gate and the same counters as HTTP; only the envelope differs. With
it come the standard health service, for Kubernetes's grpc probes, and reflection, for grpcurl.
Imported only if a port is set: whoever does not want gRPC does not pay for it.
"""

import logging
import math
import re
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, NamedTuple, TypeVar

import grpc
from google.protobuf.message import Message
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from model_server import __version__, errors
from model_server.errors import InvalidSettings, RequestError
from model_server.grpc import codec
from model_server.grpc import open_inference_pb2 as messages
from model_server.logs import REQUEST_LOGGER
from model_server.protocols import v2
from model_server.request.context import RequestContext, Timeline
from model_server.request.tracing import HEADER, HEADERS, Ended, trace_of
from model_server.serving.state import State
from model_server.system.listening import listeners_on, refuse_new
from model_server.vision.inference import VisionModel

SERVICE = messages.DESCRIPTOR.services_by_name["GRPCInferenceService"].full_name
_log = logging.getLogger(REQUEST_LOGGER)
_REQUEST_ID = "x-request-id"
# An accepted call has reached its method by then, on a busy machine too.
_QUIET_SECONDS = 2.0
# Who has connected is accepted by then; grpcio would close the connection without a word.
_SETTLING_SECONDS = 0.1
_SAFE_ID = re.compile(r"[A-Za-z0-9._:/+=@-]{1,128}")
_STATUSES: dict[type[RequestError], grpc.StatusCode] = {
    errors.UnknownModel: grpc.StatusCode.NOT_FOUND,
    errors.WrongTask: grpc.StatusCode.FAILED_PRECONDITION,
    errors.PayloadTooLarge: grpc.StatusCode.RESOURCE_EXHAUSTED,
    errors.ImageTooLarge: grpc.StatusCode.RESOURCE_EXHAUSTED,
    # Not RESOURCE_EXHAUSTED: UNAVAILABLE is what clients and proxies take as "try again".
    errors.Overloaded: grpc.StatusCode.UNAVAILABLE,
    errors.DeadlineExceeded: grpc.StatusCode.DEADLINE_EXCEEDED,
    errors.ClientGone: grpc.StatusCode.CANCELLED,
    errors.InferenceFailed: grpc.StatusCode.INTERNAL,
}
# What OpenTelemetry's conventions count as the server's failures.
_OUR_FAULT = {
    "DATA_LOSS", "DEADLINE_EXCEEDED", "INTERNAL", "UNAVAILABLE", "UNIMPLEMENTED", "UNKNOWN",
}  # fmt: skip
_PROBES = {"ServerLive", "ServerReady", "ModelReady"}
Request = TypeVar("Request", bound=Message)


class GrpcServer:
    """One worker's gRPC server.

    Attributes:
        port: Where it listens.
    """

    def __init__(self, state: State, host: str, port: int, threads: int) -> None:
        """Starts it.

        Args:
            state: Models, limits, gate and metrics, shared with HTTP.
            host: Address to listen on.
            port: Port to listen on; the workers of one master share it.
            threads: Calls at the same time at most; one more is turned away.

        Raises:
            InvalidSettings: if the port cannot be listened on.
        """
        size = state.settings.max_body_bytes
        self._server = grpc.server(
            ThreadPoolExecutor(threads, thread_name_prefix="grpc"),
            maximum_concurrent_rpcs=threads,
            options=[
                ("grpc.max_receive_message_length", size),
                ("grpc.max_send_message_length", -1),
                ("grpc.so_reuseport", 1),
            ],
        )
        self._health = health.HealthServicer()
        for name in ("", SERVICE, *state.registry.names):
            self._health.set(name, health_pb2.HealthCheckResponse.SERVING)
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        self._service = _Service(state)
        self._server.add_generic_rpc_handlers((_handlers(self._service),))
        reflection.enable_server_reflection(
            (SERVICE, health.SERVICE_NAME, reflection.SERVICE_NAME), self._server
        )
        where = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        try:
            self.port: int = self._server.add_insecure_port(where)
        except RuntimeError as error:
            raise InvalidSettings(f"--grpc-port: cannot listen on {where}") from error
        self._server.start()
        self._stopped: threading.Event | None = None

    def begin_stop(self, seconds: float) -> None:
        """Takes no new calls; those in progress have `seconds` to finish. Does not wait for them.

        grpcio cancels calls that have come in and that it has not looked at yet; clients with a
        retry policy for CANCELLED do not notice.
        """
        self._health.enter_graceful_shutdown()
        # Who knocks meanwhile is let in by another worker a second later.
        for listener in listeners_on(self.port):
            refuse_new(listener)
        time.sleep(_SETTLING_SECONDS)
        self._stopped = self._server.stop(seconds)

    def finish_stop(self, seconds: float) -> None:
        """Waits until the calls in progress have finished and their answers are sent.

        The server is asked, because a call may be accepted and not have reached its method yet.
        Whoever watches the health service would keep it for ever: that is not waited for once
        nothing else has been in progress for a while.
        """
        if self._stopped is None:
            self.begin_stop(seconds)
        deadline, before = time.monotonic() + seconds, self._service.progress()
        while self._stopped and not self._stopped.wait(_QUIET_SECONDS):
            now = self._service.progress()
            quiet = now == before and now.inside == 0
            if quiet or time.monotonic() >= deadline:
                break
            before = now
        self._server.stop(0).wait(_QUIET_SECONDS)


def _handlers(service: "_Service") -> grpc.GenericRpcHandler:
    described = messages.DESCRIPTOR.services_by_name["GRPCInferenceService"]
    methods = {}
    for method in described.methods:
        request = getattr(messages, method.input_type.name)
        response = getattr(messages, method.output_type.name)
        methods[method.name] = grpc.unary_unary_rpc_method_handler(
            _guarded(service, method.name, getattr(service, _snake_case(method.name))),
            request_deserializer=request.FromString,
            response_serializer=response.SerializeToString,
        )
    return grpc.method_handlers_generic_handler(SERVICE, methods)


def _snake_case(name: str) -> str:
    """`ModelInfer` to `model_infer`, the method of `_Service` that answers it."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()


def _guarded(
    service: "_Service",
    method: str,
    answer: Callable[[Any, RequestContext], Message],
) -> Callable[[Any, grpc.ServicerContext], Message]:
    """Surrounds a method with what surrounds every request: context, errors, log and metrics."""

    def handle(request: Any, call: grpc.ServicerContext) -> Message:
        context = service.context(call)
        call.set_trailing_metadata(((_REQUEST_ID, context.request_id),))
        with service.recorded(method, context, _trace_headers(call)) as record:
            try:
                return answer(request, context)
            except RequestError as error:
                record["error"], status = error.code, _status(error)
                details = error.message
            except Exception:  # what a client sees must not depend on what went wrong inside
                logging.getLogger("model_server").exception("a request failed")
                record["error"], status = "InternalError", grpc.StatusCode.INTERNAL
                details = "the server failed; the request's id is in its log"
            record["status"] = status.name
            call.abort(status, details)
        raise AssertionError("abort always raises")

    return handle


def _trace_headers(call: grpc.ServicerContext) -> dict[str, str]:
    """What the caller's metadata says of its trace."""
    sent = dict(call.invocation_metadata() or ())
    return {name: value for name in HEADERS if isinstance(value := sent.get(name), str)}


def _ended(
    method: str,
    headers: dict[str, str],
    record: dict[str, str],
    started: float,
    context: RequestContext,
) -> Ended:
    """A call for its span, in the words of OpenTelemetry's conventions."""
    attributes: dict[str, str | int] = {
        "rpc.system.name": "grpc",
        "rpc.method": f"{SERVICE}/{method}",
        "rpc.response.status_code": record["status"],
    }
    if record["error"]:
        attributes["error.type"] = record["error"]
    failed, seconds = record["status"] in _OUR_FAULT, time.perf_counter() - started
    return Ended(f"{SERVICE}/{method}", headers, attributes, failed, started, seconds, context)


def _status(error: RequestError) -> grpc.StatusCode:
    return _STATUSES.get(type(error), grpc.StatusCode.INVALID_ARGUMENT)


class _Progress(NamedTuple):
    """Calls that have reached their method, and those of them that are still there."""

    begun: int
    inside: int


class _Service:
    """The protocol's methods, each from message to message."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._progress = _Progress(0, 0)
        self._changing = threading.Lock()

    def progress(self) -> "_Progress":
        """How many calls there were and are."""
        return self._progress

    def _count(self, change: int) -> None:
        with self._changing:
            begun, inside = self._progress
            self._progress = _Progress(begun + max(change, 0), inside + change)

    def context(self, call: grpc.ServicerContext) -> RequestContext:
        """A request's context: its id, and the sooner of the client's and our deadline."""
        sent = dict(call.invocation_metadata() or ())
        wanted = sent.get(_REQUEST_ID, "")
        known = isinstance(wanted, str) and _SAFE_ID.fullmatch(wanted)
        seconds = min(self._state.settings.timeout_seconds, call.time_remaining() or math.inf)
        return RequestContext(
            request_id=str(wanted) if known else uuid.uuid4().hex,
            deadline=time.monotonic() + seconds,
            client_gone=lambda: not call.is_active(),
            timeline=Timeline() if self._state.spans else None,
        )

    @contextmanager
    def recorded(
        self, method: str, context: RequestContext, headers: dict[str, str]
    ) -> Iterator[dict[str, str]]:
        """Counts and logs a call; the body tells of an error through the yielded dictionary."""
        record = {"status": grpc.StatusCode.OK.name, "error": ""}
        started = time.perf_counter()
        self._count(1)
        try:
            yield record
        finally:
            self._count(-1)
            context.close()
            seconds = time.perf_counter() - started
            endpoint, metrics = f"/{SERVICE}/{method}", self._state.metrics
            metrics.requests.labels(endpoint, context.model, record["status"]).inc()
            metrics.request_seconds.labels(endpoint).observe(seconds)
            metrics.observe_stages(context.model, context.stages)
            if record["error"]:
                metrics.errors.labels(endpoint, record["error"]).inc()
            span: dict[str, str] = {}
            if self._state.spans is not None and method not in _PROBES:
                span = self._state.spans.record(_ended(method, headers, record, started, context))
            if method == "ModelInfer":  # the others are probes
                _log.info(
                    "gRPC %s %s", method, record["status"],
                    extra={
                        "request_id": context.request_id,
                        **trace_of(headers.get(HEADER, "")),
                        **span,
                        "model": context.model,
                        "status": record["status"],
                        "error": record["error"],
                        "milliseconds": round(seconds * 1000, 2),
                        "stages_ms": {
                            name: round(s * 1000, 2) for name, s in context.stages.items()
                        },
                    },
                )  # fmt: skip

    def _model(self, name: str, version: str) -> VisionModel:
        model = self._state.registry.get(name)
        v2.check_version(model, version)
        return model

    def server_live(self, _request: Any, _context: RequestContext) -> Message:
        return messages.ServerLiveResponse(live=True)

    def server_ready(self, _request: Any, _context: RequestContext) -> Message:
        return messages.ServerReadyResponse(ready=True)

    def model_ready(self, request: messages.ModelReadyRequest, _context: RequestContext) -> Message:
        self._model(request.name, request.version)
        return messages.ModelReadyResponse(ready=True)

    def server_metadata(self, _request: Any, _context: RequestContext) -> Message:
        return messages.ServerMetadataResponse(
            name="model-server", version=__version__, extensions=v2.EXTENSIONS
        )

    def model_metadata(
        self, request: messages.ModelMetadataRequest, _context: RequestContext
    ) -> Message:
        return codec.encode_metadata(v2.metadata(self._model(request.name, request.version)))

    def repository_index(self, _request: Any, _context: RequestContext) -> Message:
        answer = messages.RepositoryIndexResponse()
        for name in self._state.registry.names:
            answer.models.add(name=name, version=v2.VERSION, state="READY")
        return answer

    def model_infer(self, request: messages.ModelInferRequest, context: RequestContext) -> Message:
        model = self._model(request.model_name, request.model_version)
        most = self._state.settings.max_instances
        size = request.ByteSize()
        self._state.bodies.reserve(size)
        try:
            wanted = codec.parse_request(request, most)
            with self._state.gate.admit(context):
                found = v2.infer(model, wanted, most, context)
            with context.stage("encode"):
                return codec.encode_response(found, v2.VERSION, raw=wanted.binary)
        finally:
            self._state.bodies.release(size)
