"""A real `model-server` process on a free port of loopback, for the length of a `with` block."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from support.endings import ends_with_us
from support.poll import eventually

DATA = Path(__file__).resolve().parents[2].parent / "shared" / "data"
COCO = DATA / "coco_ssd_mobilenet_v1_quant.tflite"
COCO_LABELS = DATA / "coco_labelmap.txt"
IMAGENET = DATA / "mobilenet_v2_1.0_224_quant.tflite"
IMAGENET_LABELS = DATA / "imagenet_labels.txt"
NO_DATA = "the public pictures and models of ../shared/data are not here"


@dataclass(frozen=True)
class Answer:
    """One HTTP answer."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        """The parsed body."""
        return json.loads(self.body)


@dataclass
class RunningServer:
    """A server that has said where it listens and that it is ready."""

    process: subprocess.Popen[bytes]
    port: int
    log_path: Path
    host: str = "127.0.0.1"

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"

    @property
    def log(self) -> list[dict[str, Any]]:
        """The JSON lines it has written so far."""
        return json_lines(self.log_path)

    def request(
        self,
        path: str,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        method: str | None = None,
    ) -> Answer:
        """Any request; any status is an answer."""
        request = urllib.request.Request(  # noqa: S310 - loopback
            self.url + path, data=body, headers=dict(headers or {}), method=method
        )
        try:
            with urllib.request.urlopen(request, timeout=60) as response:  # noqa: S310
                return Answer(response.status, dict(response.headers), response.read())
        except urllib.error.HTTPError as error:
            with error:
                return Answer(error.code, dict(error.headers), error.read())

    def post(
        self, path: str, body: bytes, content_type: str = "image/jpeg", **headers: str
    ) -> Answer:
        """POST with a content type; further headers by name with `_` for `-`."""
        extra = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.request(path, body, {"Content-Type": content_type, **extra})

    def workers(self) -> list[int]:
        """Process ids of its workers."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        return [int(child) for child in children.split()]


def json_lines(path: Path) -> list[dict[str, Any]]:
    """The lines of a log that are JSON objects (native libraries write others)."""
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    return [json.loads(line) for line in lines if line.startswith("{") and line.endswith("}")]


def server_command(**settings: object) -> list[str]:
    """The command line for some settings."""
    flags = [
        part
        for name, value in settings.items()
        for part in ("--" + name.replace("_", "-"), str(value))
    ]
    return [sys.executable, "-m", "model_server", *flags]


def server_environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """Ours, without settings of a server that the person running the tests may have."""
    clean = {name: value for name, value in os.environ.items() if "MODEL_SERVER_" not in name}
    return {**clean, **(extra or {})}


@contextmanager
def model_server(
    environment: Mapping[str, str] | None = None, **settings: object
) -> Iterator[RunningServer]:
    """Starts a server, waits until it is ready, and stops it at the end.

    Args:
        environment: Additional environment variables.
        **settings: Flags, by the settings' names.
    """
    settings = {"host": "127.0.0.1", "port": 0, **settings}
    with tempfile.TemporaryDirectory() as folder:
        log_path = Path(folder) / "log"
        with log_path.open("wb") as log:
            process = subprocess.Popen(
                ends_with_us(server_command(**settings)),
                stdout=log,
                stderr=subprocess.STDOUT,
                env=server_environment(environment),
            )
        try:
            port = eventually(lambda: _port(process, log_path), "the server listens", 180, 0.02)
            only_ipv6 = str(settings["host"]).strip("[]") == "::1"
            host = "[::1]" if only_ipv6 else "127.0.0.1"
            server = RunningServer(process, port, log_path, host)
            eventually(lambda: _ready(server), "the server is ready", 240, 0.02)
            yield server
        finally:
            stop(process)


def stop(process: subprocess.Popen[bytes], timeout_s: float = 40) -> int:
    """SIGTERM, then SIGKILL if that does not help; returns the exit status."""
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    return process.returncode


def _port(process: subprocess.Popen[bytes], log_path: Path) -> int:
    text = log_path.read_text(encoding="utf-8", errors="replace")
    if process.poll() is not None:
        raise RuntimeError(f"the server ended with {process.returncode}:\n{text}")
    return next((line["port"] for line in json_lines(log_path) if "port" in line), 0)


def _ready(server: RunningServer) -> bool:
    if server.process.poll() is not None:
        raise RuntimeError(f"the server ended:\n{server.log_path.read_text()}")
    with contextlib.suppress(OSError):  # a worker that fails to boot resets the connection
        return server.request("/readyz").status == 200
    return False
