"""Runs the application under gunicorn.

Workers load models after the fork, because TensorFlow's threads do not survive one. A worker
accepts connections once its models have done a warm-up inference; earlier connections wait in the
backlog.
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
from model_server.system.addresses import family_of, host_and_port, listen_address
from model_server.system.allocator import limit_arenas
from model_server.termination import report_end, without_values

if TYPE_CHECKING:
    from collections.abc import Callable

    from flask import Flask

    from model_server.grpc.server import GrpcServer
    from model_server.serving.state import State
    from model_server.vision.inference import VisionModel


class GunicornLogger(Logger):  # type: ignore[misc]  # gunicorn is untyped
    """Sends gunicorn's messages to our log handlers, so that all lines have the same format."""

    def setup(self, cfg: Any) -> None:
        """Replaces gunicorn's handlers with propagation to the root logger."""
        self.cfg = cfg
        self.error_log.propagate = True
        self.error_log.handlers = []
        self.error_log.setLevel(cfg.loglevel.upper())


_log = logging.getLogger("model_server")
# Read by prometheus_client on import, which happens only in workers.
MULTIPROCESS_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
# Exit status of a worker that fails to boot; gunicorn then stops instead of retrying.
_BOOT_ERROR = 3
# An unreachable collector must not delay every pod of a rollout by the whole drain time.
_LAST_SPANS_SECONDS = 5.0
_SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - where gunicorn's heartbeat files cost no disk


class Server(BaseApplication):  # type: ignore[misc]  # gunicorn is untyped
    """The gunicorn application for one set of settings."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        # Read by the worker.
        self.read_seconds = settings.timeout_seconds
        self.body_bytes = settings.max_body_bytes
        self._grpc: GrpcServer | None = None
        self._spans: Spans | None = None
        self._state: State | None = None
        self._stop_by = math.inf
        super().__init__()

    def run(self) -> None:
        """Serves until stopped; ends with SystemExit."""
        Master(self).run()

    def report(self, error: StartupError) -> None:
        """Called by the master when it gives up."""
        report_failure(error)

    def load_config(self) -> None:
        """Sets gunicorn's configuration."""
        for name, value in gunicorn_options(self._settings).items():
            self.cfg.set(name, value)

    def load(self) -> "Flask":
        """Loads the models and creates the application, in each worker after the fork."""
        # Imported here: the master must not start threads, nor keep memory that only workers
        # need.
        from model_server.http.app import create_app  # noqa: PLC0415
        from model_server.serving.registry import load_registry  # noqa: PLC0415
        from model_server.vision.resizing import choose  # noqa: PLC0415

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
            _log.info("serving model %s", name, extra=_served(model))
            for warning in model.warnings:
                _log.warning("model %s: %s", name, warning)
            if self._settings.max_batch_size > 1 and not model.batches:
                _log.warning(
                    "model %s has a fixed batch size of 1: --max-batch-size has no effect", name
                )
        resizer = choose(self._settings.resizing)
        why = f": {resizer.reason}" if resizer.reason else ""
        _log.info("resizing with %s%s", resizer.name, why, extra={"resizer": resizer.name})
        self._spans = start_spans(os.environ)
        app = create_app(self._settings, registry, self._spans)
        self._state = app.extensions["model_server"]
        self._start_grpc(app)
        return app

    def begin_serving(self, since_last_turn: "Callable[[], float]") -> None:
        """Starts answering probes; called by a worker once its models are loaded.

        Args:
            since_last_turn: Returns the seconds since the last known iteration of the main loop.
        """
        state, settings = self._state, self._settings
        if not settings.probe_port or state is None:
            return
        # Imported here: its thread must not run in the master.
        from model_server.process.probes import Probes, pages  # noqa: PLC0415

        answers = pages(state, since_last_turn, lambda: self._stop_by != math.inf)
        try:
            probes = Probes(settings.host, settings.probe_port, answers)
        except StartupError as error:
            report_failure(error)
            raise SystemExit(_BOOT_ERROR) from None
        _log.info("probes on port %s", probes.port, extra={"probe_port": probes.port})

    def _start_grpc(self, app: "Flask") -> None:
        """Starts the gRPC server, which shares models and limits with HTTP."""
        port = self._settings.grpc_port
        if not port:
            return
        # Imported here: gRPC's threads do not survive a fork.
        from model_server.grpc.server import GrpcServer  # noqa: PLC0415

        state = app.extensions["model_server"]
        try:
            self._grpc = GrpcServer(state, self._settings.host, port, http_threads(self._settings))
        except StartupError as error:
            report_failure(error)
            raise SystemExit(_BOOT_ERROR) from None
        _log.info(
            "listening for gRPC on port %s", self._grpc.port, extra={"grpc_port": self._grpc.port}
        )

    def begin_stop(self) -> None:
        """Stops accepting gRPC calls; called when a worker is told to stop."""
        self._stop_by = time.monotonic() + self._settings.drain_seconds
        if self._grpc is not None:
            self._grpc.begin_stop(self._settings.drain_seconds)

    def finish_stop(self) -> None:
        """Waits for gRPC calls and exports the last spans; called before a worker ends."""
        if self._grpc is not None:
            self._grpc.finish_stop(self._settings.drain_seconds)
        if self._spans is not None:
            self._spans.stop(min(_LAST_SPANS_SECONDS, self._stop_by - time.monotonic()))


def _served(model: "VisionModel") -> dict[str, Any]:
    """Log fields of a served model."""
    facts: dict[str, Any] = {"format": model.info.format, "task": model.task}
    if model.takes_pictures:
        scaling = "mean_std" if model.image.mean else model.image.scaling
        facts |= {"preprocessing": scaling, "preprocessing_source": model.image.source}
    return facts


def gunicorn_options(settings: Settings) -> dict[str, Any]:
    """The gunicorn options for our settings."""
    return {
        "bind": host_and_port(listen_address(settings.host), settings.port),
        "worker_class": Worker,
        "workers": settings.workers or 1,
        "threads": http_threads(settings),
        "worker_connections": 2000,
        # A worker whose main loop blocks for this long is replaced. Requests run in threads and
        # have their own deadline.
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
    """Logs the address; with port 0, the log is the only place to find it."""
    for listener in server.LISTENERS:
        host, port = listener.getsockname()[:2]
        _log.info("listening on http://%s", host_and_port(host, port), extra={"port": port})


def _finish_worker(_server: object, worker: Any) -> None:
    worker.app.finish_stop()


def _forget_worker(_server: object, worker: Any) -> None:
    """Removes a dead worker's gauges from the shared metrics."""
    if os.environ.get(MULTIPROCESS_VARIABLE):
        from prometheus_client import multiprocess  # noqa: PLC0415

        multiprocess.mark_process_dead(worker.pid)  # type: ignore[no-untyped-call]


def report_failure(error: StartupError) -> None:
    """Writes why the server cannot start to stderr and to the termination message."""
    message = without_values(error.message, os.environ, ENV_PREFIX)
    report_end("model-server", f"{error.reason}: {message}")


def check_address(host: str, port: int, flag: str = "--port") -> None:
    """Checks that an address can be bound.

    gunicorn itself would retry for five seconds, and gRPC would share the port with another
    process.

    Raises:
        InvalidSettings: with the system's error.
    """
    address = listen_address(host)
    with socket.socket(family_of(address), socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except OSError as error:
            raise InvalidSettings(
                f"--host and {flag}: cannot listen on {address} port {port}: "
                f"{error.strerror or error}"
            ) from error


def serve(settings: Settings) -> int:
    """Serves until stopped.

    Returns:
        The exit status: 0 after SIGTERM or SIGINT, 2 if it could not start.
    """
    try:
        # Report a wrong path or an occupied port before starting anything.
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
        # Workers also exit through here; only the master owns the folder.
        if shared and os.getpid() == master:
            shutil.rmtree(shared, ignore_errors=True)
    return 0
