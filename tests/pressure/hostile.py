"""`python -m pressure.hostile`: clients that attack a real server, while its probes are timed.

Each attack is one that once succeeded: slow and silent connections, announced bodies, JSON and
base64 that grow in memory, pictures that keep a codec busy. Between them damaged uploads are sent.
Holds: no status above 499 but 503, no worker lost, no traceback, memory back where it was, and
`/healthz` answered within a second on the probe port and on the HTTP port throughout.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import io
import resource
import socket
import struct
import sys
import tempfile
import threading
import time
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image

from pressure import memory
from pressure.fuzz import BUNDLED
from pressure.seeds import example
from pressure.traffic import Tally, Traffic
from pressure.uploads import upload
from support.model_server import RunningServer, model_server

PROBE_LIMIT_SECONDS = 1.0
ALLOWED_GROWTH = 0.2
_LARGE = 31 << 20
_HEAD = b"POST /object_detection HTTP/1.1\r\nHost: x\r\nContent-Type: image/jpeg\r\n"
_JSON, _JPEG, _PNG = "application/json", "image/jpeg", "image/png"


@dataclass
class Report:
    """What one run found.

    Attributes:
        statuses: Of all requests of the attacks.
        uploads: Of the damaged uploads.
        slowest: Seconds of the slowest answer to `/healthz`, by port's name.
        probes: Answers to `/healthz`.
        resident: Bytes of the workers at the start and at the end.
        problems: What must not be; empty after a good run.
    """

    statuses: Counter[int] = field(default_factory=Counter)
    uploads: Tally = field(default_factory=Tally)
    slowest: dict[str, float] = field(default_factory=dict)
    probes: int = 0
    resident: tuple[int, int] = (0, 0)
    problems: list[str] = field(default_factory=list)


@contextlib.contextmanager
def target() -> Iterator[tuple[RunningServer, int]]:
    """A server with both bundled models, and its probe port."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = int(free.getsockname()[1])
    with tempfile.TemporaryDirectory() as folder:
        for name in ("detector", "classifier"):
            (Path(folder) / name).symlink_to(BUNDLED / name)
        with model_server(models_dir=folder, probe_port=port) as server:
            yield server, port


class Watch:
    """Asks for `/healthz` on both ports all the time."""

    def __init__(self, ports: dict[str, int], report: Report) -> None:
        self._report = report
        self._end = threading.Event()
        self._threads = [
            threading.Thread(target=self._ask, args=item, daemon=True) for item in ports.items()
        ]

    def __enter__(self) -> Watch:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        for thread in self._threads:
            thread.join()

    def _ask(self, name: str, port: int) -> None:
        while not self._end.wait(0.1):
            began = time.monotonic()
            try:
                status = _ask(port, "GET", "/healthz")
            except OSError as error:
                status = 0
                self._report.problems.append(f"/healthz on the {name} port: {error!r}")
            seconds = time.monotonic() - began
            self._report.probes += 1
            self._report.slowest[name] = max(seconds, self._report.slowest.get(name, 0.0))
            if status not in {0, 200}:
                self._report.problems.append(f"/healthz on the {name} port: {status}")


def _ask(port: int, method: str, path: str, body: bytes | None = None, kind: str = "") -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    with contextlib.closing(connection):
        connection.request(method, path, body, {"Content-Type": kind} if kind else {})
        answer = connection.getresponse()
        answer.read()
        return answer.status


@contextlib.contextmanager
def held(port: int, count: int, said: bytes) -> Iterator[None]:
    """So many connections that have said something and say no more."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, 2 * count + 512)), hard))
    with contextlib.ExitStack() as stack:
        for _ in range(count):
            connection = stack.enter_context(socket.create_connection(("127.0.0.1", port)))
            if said:
                with contextlib.suppress(OSError):  # ended already
                    connection.sendall(said)
        yield


SLOW: dict[str, tuple[int, bytes]] = {
    "one byte each": (80, b"P"),
    "headers without an end": (80, _HEAD),
    "announced bodies": (80, _HEAD + b"Content-Length: 32000000\r\n\r\n"),
    "announced chunks": (80, _HEAD + b"Transfer-Encoding: chunked\r\n\r\n"),
    "a part of a chunk": (80, _HEAD + b"Transfer-Encoding: chunked\r\n\r\nff\r\nab"),
    "silent connections": (2100, b""),
    "questions with bodies": (80, b"GET /healthz HTTP/1.1\r\nContent-Length: 9999\r\n\r\n"),
}  # fmt: skip


def _filled(unit: bytes) -> bytes:
    return b'{"instances":[' + unit * (_LARGE // len(unit)) + b"{}]}"


def _encoded(form: str) -> bytes:
    buffer = io.BytesIO()
    options = {"progressive": True} if form == "JPEG" else {}
    Image.new("L", (4000, 4000)).save(buffer, form, **options)
    return buffer.getvalue()


def _scans() -> bytes:
    data = _encoded("JPEG")
    last = data.rindex(b"\xff\xda")
    return data[:last] + data[last:-2] * 3000 + b"\xff\xd9"


def _chunks() -> bytes:
    data = _encoded("PNG")
    empty = struct.pack(">I", 0) + b"IDAT" + struct.pack(">I", zlib.crc32(b"IDAT"))
    return data[:33] + empty * 1_000_000 + data[33:]


LOUD: dict[str, tuple[str, str, Callable[[], bytes]]] = {
    "objects in objects": (
        "/v1/models/detector:predict", _JSON, lambda: _filled(b'{"a":{"a":{"a":{}}}},')
    ),
    "empty lists": ("/v1/models/detector:predict", _JSON, lambda: _filled(b"[],")),
    "empty strings": ("/v2/models/detector/infer", _JSON, lambda: _filled(b'"",')),
    "spaced base64": (
        "/predict", _JSON, lambda: b'{"image": "' + b"AA " * (_LARGE // 3) + b'"}'
    ),
    "thousands of scans": ("/object_detection", _JPEG, _scans),
    "a million chunks": ("/object_detection", _PNG, _chunks),
}  # fmt: skip


def run(server: RunningServer, probes: int, rounds: int, uploads: range) -> Report:
    """Attacks, round after round, with damaged uploads between them.

    Args:
        server: See `target`.
        probes: Its probe port.
        rounds: How often each attack is made.
        uploads: Numbers of the damaged uploads, shared out over the rounds.
    """
    report, workers = Report(), server.workers()
    bodies = {name: (path, kind, make()) for name, (path, kind, make) in LOUD.items()}
    start = memory.settled(workers)
    with Watch({"probe": probes, "HTTP": server.port}, report):
        for number in range(rounds):
            for count, said in SLOW.values():
                with held(server.port, count, said):
                    _picture(server, report)
            for path, kind, body in bodies.values():
                _at_once(server, report, path, kind, body)
            Traffic(server.port).send(upload, uploads[number::rounds], report.uploads)
    report.resident = (start, memory.settled(workers))
    report.problems += report.uploads.failures
    report.problems += [f"status {s}" for s in report.statuses if s >= 500 and s != 503]
    if server.workers() != workers:
        report.problems.append(f"workers {workers} became {server.workers()}")
    report.problems += [line["traceback"] for line in server.log if "traceback" in line]
    return report


def _picture(server: RunningServer, report: Report) -> None:
    status = _ask(server.port, "POST", "/object_detection", example(), _PNG)
    report.statuses[status] += 1
    if status != 200:
        report.problems.append(f"a whole picture gives {status} during an attack")


def _at_once(server: RunningServer, report: Report, path: str, kind: str, body: bytes) -> None:
    """The same request from four clients at the same time."""

    def send() -> None:
        try:
            report.statuses[_ask(server.port, "POST", path, body, kind)] += 1
        except ConnectionError:  # refused before all of it was sent
            report.statuses[0] += 1

    clients = [threading.Thread(target=send) for _ in range(4)]
    for client in clients:
        client.start()
    for client in clients:
        client.join()


def main(argv: list[str] | None = None) -> int:
    """Runs and prints; 1 if anything was found."""
    parser = argparse.ArgumentParser(prog="python -m pressure.hostile", description=__doc__)
    parser.add_argument("--rounds", type=int, default=10, help="of all attacks")
    parser.add_argument("--uploads", type=int, default=20_000, help="damaged uploads")
    flags = parser.parse_args(argv)
    with target() as (server, probes):
        report = run(server, probes, flags.rounds, range(flags.uploads))
    start, end = report.resident
    print("attacks:", ", ".join(f"{s}: {n}" for s, n in sorted(report.statuses.items())))
    print("uploads:", ", ".join(f"{s}: {n}" for s, n in sorted(report.uploads.statuses.items())))
    slowest = ", ".join(f"{seconds:.2f} s ({name})" for name, seconds in report.slowest.items())
    print(f"/healthz: {report.probes} answers, the slowest {slowest}")
    print(f"memory: {start // memory.MIB} MiB at start, {end // memory.MIB} MiB at the end")
    if end > start * (1 + ALLOWED_GROWTH):
        report.problems.append("memory grew")
    if max(report.slowest.values()) > PROBE_LIMIT_SECONDS:
        report.problems.append(f"/healthz took more than {PROBE_LIMIT_SECONDS:g} s")
    for problem in report.problems:
        print(f"PROBLEM {problem}")
    return 1 if report.problems else 0


if __name__ == "__main__":
    sys.exit(main())
