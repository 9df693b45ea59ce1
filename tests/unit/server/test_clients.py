"""What a worker tells from a connection without reading it, and what it makes of crashes."""

import select
import signal
import socket
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from model_server.process.clients import MAX_HEADER_BYTES, Heard, heard, received_bytes
from model_server.process.crashes import crash_while_loading, crashes_while_serving

GET = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
POST = b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n"


@dataclass
class Pair:
    """Both ends of a TCP connection."""

    client: socket.socket
    server: socket.socket

    def says(self, data: bytes, known: int = 0, before: bytes = b"") -> tuple[Heard, int]:
        """Looks once the bytes have come."""
        self.client.sendall(data)
        assert self.readable(10), "nothing came"
        return heard(self.server, before, known)

    def readable(self, seconds: float) -> bool:
        return bool(select.select([self.server], [], [], seconds)[0])


@pytest.fixture
def pair() -> Iterator[Pair]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = socket.create_connection(listener.getsockname())
        server, _ = listener.accept()
        with client, server:
            server.setblocking(False)
            yield Pair(client, server)


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (GET, Heard.QUESTION),
        (b"\r\n\r\n" + GET, Heard.QUESTION),
        (b"HEAD / HTTP/1.1\r\n\r\n", Heard.QUESTION),
        (POST, Heard.REQUEST),
        (POST + b"body", Heard.REQUEST),
        (b"GET / HTTP/1.1\r\ncontent-length: 9\r\n\r\n", Heard.REQUEST),
        (b"GET / HTTP/1.1\r\nTransfer-Encoding : chunked\r\n\r\n", Heard.REQUEST),
        (b"garbage\r\n\r\n", Heard.REQUEST),
        (b"G", Heard.PART),
        (b"\r\n\r\n", Heard.PART),
        (b"\r\n\r\nGET / HTTP/1.1\r\n", Heard.PART),
        (GET[:-1], Heard.PART),
        (b"GET / HTTP/1.1\r\nA: " + b"a" * MAX_HEADER_BYTES, Heard.TOO_LONG),
    ],
)
def test_how_far_a_request_has_got(pair: Pair, data: bytes, what: Heard) -> None:
    found = pair.says(data)
    while found[0] is Heard.PART and found[1] < len(data) and pair.readable(10):
        found = heard(pair.server, b"", found[1])
    assert found[0] is what
    assert pair.server.recv(1, socket.MSG_PEEK) == data[:1]  # nothing is taken


def test_a_part_is_readable_again_when_more_has_come_and_not_before(pair: Pair) -> None:
    assert pair.says(GET[:10]) == (Heard.PART, 10)
    assert not pair.readable(0.05)
    assert pair.says(GET[10:], known=10)[0] is Heard.QUESTION
    pair.server.recv(len(GET))
    pair.client.sendall(b"x")
    assert pair.readable(10), "one byte of the next request counts again"


@pytest.mark.parametrize("first", [b"", GET[:10]])
def test_the_end_is_noticed(pair: Pair, first: bytes) -> None:
    known = pair.says(first)[1] if first else 0
    pair.client.close()
    assert pair.readable(10)
    assert heard(pair.server, b"", known)[0] is Heard.ENDED


def test_what_was_read_ahead_counts(pair: Pair) -> None:
    assert pair.says(GET[10:], before=GET[:10])[0] is Heard.QUESTION


def test_received_bytes(pair: Pair) -> None:
    before = received_bytes(pair.server)
    pair.says(GET)
    assert received_bytes(pair.server) - before == len(GET)


@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS, signal.SIGFPE])
def test_a_crash_while_loading_is_given_up_at_once(number: int) -> None:
    error = crash_while_loading(number)
    assert error is not None
    assert signal.Signals(number).name in error.message


def test_a_kill_while_loading_is_most_often_the_memory() -> None:
    error = crash_while_loading(signal.SIGKILL)
    assert error is not None
    assert "memory" in error.message


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGQUIT])
def test_orders_are_no_crashes(number: int) -> None:
    assert crash_while_loading(number) is None
    times = deque([1.0, 2.0, 3.0, 4.0, 5.0])
    assert crashes_while_serving(times, number) is None
    assert len(times) == 4


def test_a_few_crashes_are_replaced_and_many_are_not() -> None:
    times: deque[float] = deque()
    for second in (0.0, 1.0, 2.0, 3.0):
        times.append(second)
        assert crashes_while_serving(times, signal.SIGSEGV) is None
    times.append(400.0)  # those before are long ago
    assert crashes_while_serving(times, signal.SIGSEGV) is None
    times.extend([401.0, 402.0, 403.0, 404.0])
    error = crashes_while_serving(times, signal.SIGSEGV)
    assert error is not None
    assert "5 crashes within 4 s" in error.message
