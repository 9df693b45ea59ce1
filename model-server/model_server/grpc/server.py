"""The gRPC server of a worker: the Open Inference Protocol, health checking and reflection.

The health service is for Kubernetes' gRPC probes, reflection (off by default) for grpcurl. Imported
only if a gRPC port is set.
"""

import re
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from model_server.errors import InvalidSettings
from model_server.grpc import open_inference_pb2 as messages
from model_server.grpc.calls import Calls
from model_server.grpc.service import SERVICE, InferenceService
from model_server.serving.state import State
from model_server.system.addresses import host_and_port, listen_address
from model_server.system.listening import listeners_on, refuse_new

# Clients that watch the health service at the same time, and for how long each.
_MOST_WATCHES = 16
_WATCH_SECONDS = 300.0
# By then an accepted call has reached its method, even on a busy machine.
_QUIET_SECONDS = 2.0
# By then established connections are accepted; grpcio would close them silently.
_SETTLING_SECONDS = 0.1


class BoundedHealth(health.HealthServicer):
    """The standard health service, with few streams at a time and an end to each.

    A `Watch` goes on until its client ends it, and counts among the calls that the server takes at
    the same time: without bounds, some dozens of them keep everybody else out.
    """

    def __init__(self) -> None:
        super().__init__()
        self._watching = 0
        self._counting = threading.Lock()

    def Watch(  # noqa: N802 - the service's name
        self,
        request: health_pb2.HealthCheckRequest,
        context: grpc.ServicerContext,
        send_response_callback: Any = None,
    ) -> Any:
        """Tells a service's state now and at each change, for some minutes at most."""
        with self._counting:
            refused = self._watching >= _MOST_WATCHES
            self._watching += not refused
        if refused:
            context.abort(
                grpc.StatusCode.RESOURCE_EXHAUSTED,
                f"{_MOST_WATCHES} clients watch already; call Check instead",
            )
        end = threading.Timer(_WATCH_SECONDS, context.cancel)
        end.daemon = True
        end.start()

        def ended() -> None:
            end.cancel()
            with self._counting:
                self._watching -= 1

        if not context.add_callback(ended):  # it has ended already
            ended()
        return super().Watch(request, context, send_response_callback)


class GrpcServer:
    """A gRPC server.

    Attributes:
        port: The port it listens on.
    """

    def __init__(self, state: State, host: str, port: int, threads: int) -> None:
        """Starts the server.

        Args:
            state: State shared with HTTP.
            host: Address to listen on.
            port: Port to listen on, shared by all workers.
            threads: Maximum number of concurrent calls; further ones are rejected.

        Raises:
            InvalidSettings: if the port cannot be bound.
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
        self._health = BoundedHealth()
        for name in ("", SERVICE, *state.registry.names):
            self._health.set(name, health_pb2.HealthCheckResponse.SERVING)
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        self._calls = Calls(state)
        self._server.add_generic_rpc_handlers((_handlers(self._calls, InferenceService(state)),))
        if state.settings.grpc_reflection:
            # Its streams hold a thread each for as long as the client wants: not for everybody.
            reflection.enable_server_reflection(
                (SERVICE, health.SERVICE_NAME, reflection.SERVICE_NAME), self._server
            )
        where = host_and_port(listen_address(host), port)
        try:
            self.port: int = self._server.add_insecure_port(where)
        except RuntimeError as error:
            raise InvalidSettings(f"--grpc-port: cannot listen on {where}") from error
        self._server.start()
        self._stopped: threading.Event | None = None

    def begin_stop(self, seconds: float) -> None:
        """Stops accepting calls; those in progress have `seconds` to finish. Does not wait.

        grpcio cancels received calls that it has not started; a client retry policy for CANCELLED
        hides this.
        """
        self._health.enter_graceful_shutdown()
        # Clients that connect now reach another worker a second later.
        for listener in listeners_on(self.port):
            refuse_new(listener)
        time.sleep(_SETTLING_SECONDS)
        self._stopped = self._server.stop(seconds)

    def finish_stop(self, seconds: float) -> None:
        """Waits until calls in progress have finished and their responses are sent.

        Relies on the server, as an accepted call may not have reached its method yet. Watchers of
        the health service never end and are not waited for once no other call is in progress.
        """
        if self._stopped is None:
            self.begin_stop(seconds)
        deadline, before = time.monotonic() + seconds, self._calls.progress
        while self._stopped and not self._stopped.wait(_QUIET_SECONDS):
            now = self._calls.progress
            quiet = now == before and now.inside == 0
            if quiet or time.monotonic() >= deadline:
                break
            before = now
        self._server.stop(0).wait(_QUIET_SECONDS)


def _handlers(calls: Calls, service: InferenceService) -> grpc.GenericRpcHandler:
    described = messages.DESCRIPTOR.services_by_name["GRPCInferenceService"]
    methods = {}
    for method in described.methods:
        request = getattr(messages, method.input_type.name)
        response = getattr(messages, method.output_type.name)
        methods[method.name] = grpc.unary_unary_rpc_method_handler(
            calls.guarded(method.name, getattr(service, _snake_case(method.name))),
            request_deserializer=request.FromString,
            response_serializer=response.SerializeToString,
        )
    return grpc.method_handlers_generic_handler(SERVICE, methods)


def _snake_case(name: str) -> str:
    """`ModelInfer` to `model_infer`, the method of `InferenceService`."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()
