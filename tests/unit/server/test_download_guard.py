"""The guard around every socket, and the limit around everything."""

from __future__ import annotations

import contextlib
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from ipaddress import ip_network

import pytest

from model_server.download.addresses import AddressPolicy
from model_server.download.errors import AddressNotAllowed
from model_server.download.guard import guarded, judge
from model_server.download.time_limit import OutOfTime, time_limit

CLOSED = AddressPolicy()
LOOPBACK = AddressPolicy(allowed=(ip_network("127.0.0.0/8"),))


@pytest.mark.parametrize(
    "destination",
    [
        ("127.0.0.1", 80),
        ("169.254.169.254", 80),
        ("::1", 80, 0, 0),
        ("::ffff:10.0.0.1", 80, 0, 0),
        ("fe80::1%lo", 80, 0, 1),
        ("localhost", 80),
        ("", 80),
        "/run/containerd.sock",
        b"\0abstract",
        (1234, 0),
        (),
    ],
)
def test_what_is_not_a_public_address_is_refused(destination: object) -> None:
    with pytest.raises(AddressNotAllowed):
        judge(destination, CLOSED)


def test_what_is_allowed_passes() -> None:
    judge(("93.184.216.34", 443), CLOSED)
    judge(("2606:2800:220:1::1", 443, 0, 0), CLOSED)
    judge(("127.0.0.1", 80), LOOPBACK)


@pytest.mark.parametrize("address", ["169.254.169.254", "169.254.170.23", "fd00:ec2::254"])
def test_metadata_services_only_when_asked_for(address: str) -> None:
    judge((address, 80), CLOSED.with_metadata_services())
    for other in ("169.254.1.1", "10.0.0.1", "127.0.0.1"):
        with pytest.raises(AddressNotAllowed):
            judge((other, 80), CLOSED.with_metadata_services())


def connect(port: int) -> None:
    with socket.socket() as client:
        client.connect(("127.0.0.1", port))


def connect_without_exception(port: int) -> None:
    with socket.socket() as client:
        client.connect_ex(("127.0.0.1", port))


def datagram(port: int) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.sendto(b"x", ("127.0.0.1", port))


def datagram_message(port: int) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.sendmsg([b"x"], [], 0, ("127.0.0.1", port))


@pytest.mark.parametrize("way", [connect, connect_without_exception, datagram, datagram_message])
def test_every_way_out_is_guarded_and_only_inside_the_block(way: Callable[[int], None]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with guarded(CLOSED), pytest.raises(AddressNotAllowed, match="loopback"):
            way(port)
        with guarded(LOOPBACK):
            way(port)
        way(port)


def wait() -> None:
    time.sleep(60)


def swallow() -> None:
    """As a library does that tries again whatever happens."""
    while True:
        with contextlib.suppress(Exception):
            time.sleep(60)


def search() -> None:
    """A regular expression that takes hours, in C."""
    re.search(rb"(\d+)+x", b"1" * 60)


@pytest.mark.parametrize("work", [wait, swallow, search])
def test_the_time_ends_whatever_is_going_on(work: Callable[[], None]) -> None:
    ended: list[str] = []
    with pytest.raises(OutOfTime), time_limit(0.05, lambda: ended.append("process")):
        work()
    assert not ended


def test_another_alarm_goes_on_afterwards() -> None:
    rang: list[int] = []
    before = signal.signal(signal.SIGALRM, lambda number, _: rang.append(number))
    left = signal.setitimer(signal.ITIMER_REAL, 0.2)
    try:
        with time_limit(60, lambda: None):
            pass
        deadline = time.monotonic() + 10
        while not rang and time.monotonic() < deadline:
            signal.sigtimedwait([signal.SIGUSR2], 0.05)
    finally:
        signal.setitimer(signal.ITIMER_REAL, *left)
        signal.signal(signal.SIGALRM, before)
    assert rang


def test_what_cannot_be_interrupted_ends_with_the_process() -> None:
    """The exception is caught over and over; the last resort writes the reason and exits with 1."""
    script = """
import time
from model_server.download import time_limit
time_limit._GRACE_SECONDS = 0.1
with time_limit.time_limit(0.05, lambda: print("too long", flush=True)):
    while True:
        try:
            time.sleep(60)
        except BaseException:
            pass
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout) == (1, "too long\n")
