"""A socket that is about to be closed keeps whom it has and lets nobody new begin."""

import errno
import os
import select
import socket
from collections.abc import Iterator

import pytest

from model_server.system.listening import listeners_on, refuse_new


@pytest.fixture(params=[socket.AF_INET, socket.AF_INET6])
def listener(request: pytest.FixtureRequest) -> Iterator[socket.socket]:
    with socket.socket(request.param) as one:
        one.bind(("127.0.0.1" if request.param is socket.AF_INET else "::1", 0))
        one.listen(8)
        one.settimeout(5)
        yield one


def connected(listener: socket.socket, seconds: float = 5) -> socket.socket:
    return socket.create_connection(listener.getsockname()[:2], timeout=seconds)


def test_who_has_connected_is_still_accepted(listener: socket.socket) -> None:
    with connected(listener) as before:
        refuse_new(listener)
        before.sendall(b"sent after it")
        accepted, _ = listener.accept()
        with accepted:
            accepted.settimeout(5)
            assert accepted.recv(99) == b"sent after it"
            accepted.sendall(b"answered")
        assert before.recv(99) == b"answered"


def test_nobody_new_gets_through(listener: socket.socket) -> None:
    refuse_new(listener)
    with pytest.raises(TimeoutError):
        connected(listener, 0.3)
    listener.setblocking(False)
    with pytest.raises(BlockingIOError):
        listener.accept()


def test_who_knocks_meanwhile_is_refused_once_it_is_closed(listener: socket.socket) -> None:
    refuse_new(listener)
    address = listener.getsockname()[:2]
    with socket.socket(listener.family) as late:
        late.setblocking(False)
        with pytest.raises(BlockingIOError):
            late.connect(address)
        listener.close()
        _, answered, _ = select.select([], [late], [], 20)
        assert answered
        assert late.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == errno.ECONNREFUSED


def test_a_kernel_that_does_not_allow_it_is_no_error() -> None:
    with socket.socket() as one:
        one.close()
        refuse_new(one)


def test_what_listens_on_a_port_is_found_and_left_open(listener: socket.socket) -> None:
    port = listener.getsockname()[1]
    (found,) = listeners_on(port)
    assert found.fileno() == -1, "the duplicate is closed after its turn"
    with connected(listener) as client:
        # A connection has the port of its listener, and does not listen.
        accepted, _ = listener.accept()
        with accepted:
            assert len(list(listeners_on(port))) == 1
        assert not list(listeners_on(client.getsockname()[1]))


def test_looking_for_listeners_keeps_nothing_open() -> None:
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    assert not list(listeners_on(1))
    os.close(writing)
    # A copy of the other end that was left open would make this wait.
    assert os.read(reading, 1) == b""
    os.close(reading)
