"""Clients that are slow, silent or many keep nobody else from being answered."""

import contextlib
import os
import resource
import signal
import socket
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.model_server import RunningServer, model_server, server_command, server_environment
from support.poll import eventually

ROOT = Path(__file__).resolve().parents[3]
PICTURE = (ROOT / "deploy" / "examples" / "images" / "whiteboard.jpg").read_bytes()

LARGE = 32 << 20


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
def server() -> Iterator[tuple[RunningServer, int]]:
    port = free_port()
    with model_server(name="detector", probe_port=port, public_metrics="false") as running:
        yield running, port


@contextlib.contextmanager
def clients(port: int, count: int, said: bytes) -> Iterator[list[socket.socket]]:
    """So many connections that have said something and go on to say nothing."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, 2 * count + 512)), hard))
    with contextlib.ExitStack() as stack:
        made = []
        for _ in range(count):
            made.append(stack.enter_context(socket.create_connection(("127.0.0.1", port))))
            if said:
                made[-1].sendall(said)
        yield made


def get(port: int, path: str) -> int:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=20) as answer:
        status: int = answer.status
        return status


def all_are_answered(server: tuple[RunningServer, int]) -> None:
    """Probes on both ports, and pictures."""
    running, probes = server
    assert get(probes, "/healthz") == get(probes, "/readyz") == get(probes, "/metrics") == 200
    assert get(running.port, "/healthz") == get(running.port, "/readyz") == 200
    assert running.post("/predict", PICTURE).status in {200, 400, 503}  # of another task, or shed


HEADERS = b"POST /object_detection HTTP/1.1\r\nHost: x\r\nContent-Type: image/jpeg\r\n"


@pytest.mark.parametrize(
    ("count", "said"),
    [
        (80, b"P"),
        (80, b"\r\n\r\n"),
        (80, HEADERS),
        (80, HEADERS + f"Content-Length: {LARGE}\r\n\r\n".encode()),
        (80, HEADERS + f"Content-Length: {LARGE}\r\n\r\nx".encode()),
        (80, HEADERS + b"Transfer-Encoding: chunked\r\n\r\n"),
        (80, HEADERS + b"Transfer-Encoding: chunked\r\n\r\n5\r\nab"),
        (80, f"GET /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: {LARGE}\r\n\r\n".encode()),
        (80, b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\nP"),
        (2100, b""),
        (300, b"P"),
    ],
)
def test_others_are_answered(server: tuple[RunningServer, int], count: int, said: bytes) -> None:
    with clients(server[0].port, count, said):
        all_are_answered(server)
        assert server[0].post("/object_detection", PICTURE).status == 200


def test_slow_probes_do_not_keep_the_kubelets_from_being_answered(
    server: tuple[RunningServer, int],
) -> None:
    with clients(server[1], 200, b"GET /heal"):
        all_are_answered(server)


def ended(connection: socket.socket, seconds: float) -> bytes:
    """What the server says until it closes."""
    connection.settimeout(seconds)
    parts = []
    while part := connection.recv(4096):
        parts.append(part)
    return b"".join(parts)


def test_headers_that_never_end_are_answered_408(server: tuple[RunningServer, int]) -> None:
    with clients(server[0].port, 1, HEADERS) as (client,):
        assert ended(client, 60).startswith(b"HTTP/1.1 408 ")


def test_headers_that_are_too_long_are_answered_431(server: tuple[RunningServer, int]) -> None:
    with clients(server[0].port, 1, HEADERS + b"A: " + b"a" * 40_000) as (client,):
        assert ended(client, 60).startswith(b"HTTP/1.1 431 ")


@pytest.mark.parametrize("size", [1, 7, 400])
def test_a_request_in_pieces_is_answered(server: tuple[RunningServer, int], size: int) -> None:
    """Each piece a packet of its own; the connection is used twice."""
    head = (
        HEADERS + b"X-Note: " + b"n" * 200 + f"\r\nContent-Length: {len(PICTURE)}\r\n\r\n".encode()
    )
    request = head + PICTURE
    with socket.create_connection(("127.0.0.1", server[0].port)) as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        client.settimeout(60)
        for _ in range(2):
            for at in range(0, len(head), size):
                client.sendall(request[at : min(at + size, len(head))])
            client.sendall(PICTURE)
            answer = client.recv(12)
            assert answer == b"HTTP/1.1 200"
            rest = b""
            while b"\r\n\r\n" not in rest:
                rest += client.recv(4096)
            headers, _, body = rest.partition(b"\r\n\r\n")
            (length,) = [
                int(line.split(b":")[1])
                for line in headers.lower().splitlines()
                if line.startswith(b"content-length")
            ]
            while len(body) < length:
                body += client.recv(1 << 20)


def test_pipelined_requests_are_answered_in_order(server: tuple[RunningServer, int]) -> None:
    question = b"GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n"
    last = b"GET /readyz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    for cut in (len(question) + 5, 2 * len(question) + 1, len(last)):
        text = question * 2 + last
        with socket.create_connection(("127.0.0.1", server[0].port)) as client:
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            client.sendall(text[:cut])
            client.sendall(text[cut:])
            assert ended(client, 60).count(b"HTTP/1.1 200 OK") == 3


def test_metrics_are_not_public_where_it_was_asked_for(server: tuple[RunningServer, int]) -> None:
    assert server[0].request("/metrics").status == 404


def test_a_model_that_crashes_while_it_is_loaded_is_given_up(tmp_path: Path) -> None:
    """Loading waits at a pipe that nobody writes to; the worker is then ended as by a fault."""
    pipe = tmp_path / "golden.jpg"
    os.mkfifo(pipe)
    process = subprocess.Popen(
        server_command(port=0, golden_image=pipe),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=server_environment(),
    )
    try:

        def reads() -> int | None:
            with contextlib.suppress(OSError):  # until somebody reads
                return os.open(pipe, os.O_WRONLY | os.O_NONBLOCK)
            return None

        writer = eventually(reads, "a worker that loads", 120)
        assert writer is not None
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text()
        (worker,) = map(int, children.split())
        os.kill(worker, signal.SIGSEGV)
        os.close(writer)
        _, errors = process.communicate(timeout=120)
    finally:
        process.kill()
        process.wait()
    assert process.returncode not in {0, 1}
    assert "ModelCrashed: model: loading the model crashed its runtime (SIGSEGV)" in errors
