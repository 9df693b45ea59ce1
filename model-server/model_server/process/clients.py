"""Inspects client connections without consuming data.

A worker's main loop calls these functions before it gives a request to a thread, so they never
block. Linux only, like the images.
"""

import enum
import fcntl
import re
import socket
import struct
import termios

# Nearly all proxies have a lower limit.
MAX_HEADER_BYTES = 32 * 1024
_END = b"\r\n\r\n"
_WITHOUT_BODY = (b"GET ", b"HEAD ", b"OPTIONS ")
_HAS_BODY = re.compile(rb"\n(content-length|transfer-encoding)[ \t]*:", re.IGNORECASE)
# Offset of tcpi_bytes_received (8 bytes) in Linux's struct tcp_info (linux/tcp.h).
_BYTES_RECEIVED = 128


class Heard(enum.Enum):
    """How much of its next request a client has sent."""

    PART = enum.auto()
    QUESTION = enum.auto()
    """Complete headers of a request without a body."""
    REQUEST = enum.auto()
    """Complete headers; a body may follow."""
    TOO_LONG = enum.auto()
    ENDED = enum.auto()
    """The client has closed, or will say no more."""


def heard(connection: socket.socket, before: bytes, known: int) -> tuple[Heard, int]:
    """Checks how much of a request has arrived.

    After a partial request, the connection becomes readable again only when more bytes arrive.

    Args:
        connection: The client's connection.
        before: Bytes of the request that were already read.
        known: Number of waiting bytes at the last check.

    Returns:
        The progress of the request, and the number of waiting bytes.
    """
    try:
        waiting = connection.recv(MAX_HEADER_BYTES + 1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
    except BlockingIOError:
        return Heard.PART, known
    except OSError:
        return Heard.ENDED, known
    text = (before + waiting).lstrip(b"\r\n")  # empty lines before a request are ignored
    end = text.find(_END)
    if 0 <= end <= MAX_HEADER_BYTES:
        _notify_from(connection, 1)
        bare = text.startswith(_WITHOUT_BODY) and not _HAS_BODY.search(text, 0, end)
        return (Heard.QUESTION if bare else Heard.REQUEST), len(waiting)
    if len(before) + len(waiting) > MAX_HEADER_BYTES:
        return Heard.TOO_LONG, len(waiting)
    if len(waiting) == known:  # readable without new bytes: end of stream
        return Heard.ENDED, known
    _notify_from(connection, len(waiting) + 1)
    return Heard.PART, len(waiting)


def _notify_from(connection: socket.socket, count: int) -> None:
    """Makes `poll` and similar calls report the connection once `count` bytes are waiting."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, count)


def unsent_bytes(connection: socket.socket) -> int:
    """Bytes in the kernel's send buffer that the other side has not received yet."""
    answer = fcntl.ioctl(connection.fileno(), termios.TIOCOUTQ, bytes(4))
    return int(struct.unpack("i", answer)[0])


def received_bytes(connection: socket.socket) -> int:
    """Bytes received since the connection was established."""
    info = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _BYTES_RECEIVED + 8)
    return int(struct.unpack_from("Q", info, _BYTES_RECEIVED)[0])
