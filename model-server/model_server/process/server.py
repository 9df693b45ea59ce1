"""Runs the application under gunicorn: one master, workers that load after they are forked.

Loading after the fork is not a choice: TensorFlow's threads do not survive one. A worker accepts
connections only once its models have answered a warm-up inference; until then connections wait in
the listening socket's backlog, so no early request is refused.
"""

import logging
import math
import os
import shutil
import socket
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gunicorn.app.base import BaseApplication
from gunicorn.glogging import Logger

from model_server.errors import InvalidModel, InvalidSettings, StartupError
from model_server.process.master import Master
from model_server.process.worker import Worker
from model_server.request.collector import start_spans
from model_server.request.tracing import Spans
from model_server.serving.capacity import http_threads
from model_server.serving.sources import find_sources
from model_server.settings import ENV_PREFIX, Settings
from model_server.system.allocator import limit_arenas
from model_server.termination import report_end, without_values

if TYPE_CHECKING:
    from collections.abc import Callable

    from flask import Flask

    from model_server.grpc.server import GrpcServer
    from model_server.serving.state import State
    from model_server.vision.inference import VisionModel


class GunicornLogger(Logger):  # type: ignore[misc]  # gunicorn is untyped
    """Hands gunicorn's own messages to our log handlers, so that every line has one form."""

    def setup(self, cfg: Any) -> None:
        """Replaces gunicorn's handlers by propagation to the root logger."""
        self.cfg = cfg
        self.error_log.propagate = True
        self.error_log.handlers = []
        self.error_log.setLevel(cfg.loglevel.upper())


_log = logging.getLogger("model_server")
# Read by prometheus_client when it is imported, which only workers do.
MULTIPROCESS_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
# gunicorn stops altogether, instead of trying again, when a worker exits with this while booting.
_BOOT_ERROR = 3
# A collector that is down must not keep every pod of a rollout for the whole drain.
_LAST_SPANS_SECONDS = 5.0
_SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - where gunicorn's heartbeat files cost no disk


class Server(BaseApplication):  # type: ignore[misc]  # gunicorn is untyped
    """The gunicorn application for one set of settings."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        # For the worker.
        self.read_seconds = settings.timeout_seconds
        self.body_bytes = settings.max_body_bytes
        self._grpc: GrpcServer | None = None
        self._spans: Spans | None = None
        self._state: State | None = None
        self._stop_by = math.inf
        super().__init__()

    def run(self) -> None:
        """Serves until stopped; leaves by SystemExit."""
        Master(self).run()

    def report(self, error: StartupError) -> None:
        """Called by the master when it gives up."""
        report_failure(error)

    def load_config(self) -> None:
        """Translates our settings to gunicorn's."""
        for name, value in gunicorn_options(self._settings).items():
            self.cfg.set(name, value)

    def load(self) -> "Flask":
        """Loads models and makes the application; runs in each worker after the fork."""
        # Imported here: whatever starts threads must not be in the master, and what only workers
        # need would be there twice, in pages that a worker has written to and the master keeps.
        from model_server.http.app import create_app  # noqa: PLC0415
        from model_server.serving.registry import load_registry  # noqa: PLC0415

        try:
            registry = load_registry(self._settings)
        except StartupError as error:
            report_failure(error)
            raise SystemExit(_BOOT_ERROR) from None
        except Exception as error:  # noqa: BLE001 - frameworks raise anything on a bad model
            _log.exception("loading failed")
            report_failure(InvalidModel(f"model: {type(error).__name__}: {error}"))
            raise SystemExit(_BOOT_ERROR) from None
        for name in registry.names:
            model = registry.get(name)
            _log.info("serving %s", name, extra=_served(model))
            for warning in model.warnings:
                _log.warning("%s: %s", name, warning)
            if self._settings.max_batch_size > 1 and not model.batches:
                _log.warning("%s takes one picture at a time: max-batch-size has no effect", name)
        self._spans = start_spans(os.environ)
        app = create_app(self._settings, registry, self._spans)
        self._state = app.extensions["model_server"]
        self._start_grpc(app)
        return app

    def begin_serving(self, since_last_turn: "Callable[[], float]") -> None:
        """Called by a worker whose models are loaded: from now on probes are answered.

        Args:
            since_last_turn: Seconds since the worker's main loop was last seen to turn.
        """
        state, settings = self._state, self._settings
        if not settings.probe_port or state is None:
            return
        # Imported here: its thread must not be in the master.
        from model_server.process.probes import Probes, pages  # noqa: PLC0415

        answers = pages(state, since_last_turn, lambda: self._stop_by != math.inf)
        try:
            probes = Probes(settings.host, settings.probe_port, answers)
        except StartupError as error:
            report_failure(error)
            raise SystemExit(_BOOT_ERROR) from None
        _log.info("probes on port %s", probes.port, extra={"probe_port": probes.port})

    def _start_grpc(self, app: "Flask") -> None:
        """Serves gRPC beside HTTP, from the same models and through the same gate."""
        port = self._settings.grpc_port
        if not port:
            return
        # Imported here: gRPC's threads do not survive a fork, and not everybody wants it.
        from model_server.grpc.server import GrpcServer  # noqa: PLC0415

        state = app.extensions["model_server"]
        try:
            self._grpc = GrpcServer(state, self._settings.host, port, http_threads(self._settings))
        except StartupError as error:
            report_failure(error)
            raise SystemExit(_BOOT_ERROR) from None
        _log.info("gRPC on port %s", self._grpc.port, extra={"grpc_port": self._grpc.port})

    def begin_stop(self) -> None:
        """Called by a worker that was told to stop: no new gRPC calls."""
        self._stop_by = time.monotonic() + self._settings.drain_seconds
        if self._grpc is not None:
            self._grpc.begin_stop(self._settings.drain_seconds)

    def finish_stop(self) -> None:
        """Called by a worker before it ends: gRPC calls in progress may finish, then spans go."""
        if self._grpc is not None:
            self._grpc.finish_stop(self._settings.drain_seconds)
        if self._spans is not None:
            self._spans.stop(min(_LAST_SPANS_SECONDS, self._stop_by - time.monotonic()))


def _served(model: "VisionModel") -> dict[str, Any]:
    """What the log says of a model that is served."""
    facts: dict[str, Any] = {"format": model.info.format, "task": model.task}
    if model.takes_pictures:
        facts |= {"preprocessing": model.image.scaling, "preprocessing_source": model.image.source}
    return facts


def gunicorn_options(settings: Settings) -> dict[str, Any]:
    """Our settings in gunicorn's words."""
    return {
        "bind": f"{settings.host}:{settings.port}",
        "worker_class": Worker,
        "workers": settings.workers or 1,
        "threads": http_threads(settings),
        "worker_connections": 2000,
        # A worker whose main loop stands still this long is replaced. Requests run in threads and
        # have a deadline of their own.
        "timeout": 120,
        "graceful_timeout": math.ceil(settings.drain_seconds),
        "keepalive": 75,
        "backlog": 2048,
        "worker_tmp_dir": str(_SHARED_MEMORY) if os.access(_SHARED_MEMORY, os.W_OK) else None,
        "control_socket_disable": True,
        "accesslog": None,
        "logger_class": GunicornLogger,
        "loglevel": "warning" if settings.log_level == "info" else settings.log_level,
        "limit_request_line": 8190,
        "limit_request_fields": 100,
        "limit_request_field_size": 8190,
        "proc_name": "model-server",
        "when_ready": _announce,
        "child_exit": _forget_worker,
        "worker_exit": _finish_worker,
    }


def _announce(server: Any) -> None:
    """Says where it listens: with port 0 nobody else knows."""
    for listener in server.LISTENERS:
        host, port = listener.getsockname()[:2]
        _log.info("listening on http://%s:%s", host, port, extra={"port": port})


def _finish_worker(_server: object, worker: Any) -> None:
    worker.app.finish_stop()


def _forget_worker(_server: object, worker: Any) -> None:
    """Takes a dead worker's live gauges out of the shared metrics."""
    if os.environ.get(MULTIPROCESS_VARIABLE):
        from prometheus_client import multiprocess  # noqa: PLC0415

        multiprocess.mark_process_dead(worker.pid)  # type: ignore[no-untyped-call]


def report_failure(error: StartupError) -> None:
    """Tells people on stderr and Kubernetes in the termination message why nothing is served."""
    message = without_values(error.message, os.environ, ENV_PREFIX)
    report_end("model-server", f"{error.reason}: {message}")


def check_address(host: str, port: int, flag: str = "--port") -> None:
    """Makes sure that the address can be listened on.

    gunicorn itself would try for five seconds, and gRPC would share the port with whoever has it.

    Raises:
        InvalidSettings: saying what the system says.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise InvalidSettings(
                f"--host and {flag}: cannot listen on {host} port {port}: {error.strerror or error}"
            ) from error


def serve(settings: Settings) -> int:
    """Serves until stopped.

    Returns:
        The process's exit status: 0 after SIGTERM or SIGINT, 2 if it could not start.
    """
    try:
        # A wrong path or a taken port is reported before anything is started.
        find_sources(settings)
        check_address(settings.host, settings.port)
        if settings.grpc_port:
            check_address(settings.host, settings.grpc_port, "--grpc-port")
        if settings.probe_port:
            check_address(settings.host, settings.probe_port, "--probe-port")
    except StartupError as error:
        report_failure(error)
        return 2
    limit_arenas()
    shared = tempfile.mkdtemp(prefix="metrics-") if (settings.workers or 1) > 1 else ""
    if shared:
        os.environ[MULTIPROCESS_VARIABLE] = shared
    master = os.getpid()
    try:
        Server(settings).run()
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else 0
    finally:
        # Workers leave through here too, when they end; the folder is the master's.
        if shared and os.getpid() == master:
            shutil.rmtree(shared, ignore_errors=True)
    return 0
