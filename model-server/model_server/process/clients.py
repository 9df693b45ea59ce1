"""What can be told of a client by looking at its connection, without taking anything from it.

The main loop of a worker looks here before it gives a request to a thread, so everything returns
at once. Linux only, as the images are.
"""

import enum
import fcntl
import re
import socket
import struct
import termios

# Nearly all proxies accept less than this.
MAX_HEADER_BYTES = 32 * 1024
_END = b"\r\n\r\n"
_WITHOUT_BODY = (b"GET ", b"HEAD ", b"OPTIONS ")
_HAS_BODY = re.compile(rb"\n(content-length|transfer-encoding)[ \t]*:", re.IGNORECASE)
# Of Linux's struct tcp_info (linux/tcp.h): tcpi_bytes_received, 8 bytes.
_BYTES_RECEIVED = 128


class Heard(enum.Enum):
    """How far a client has got with its next request."""

    PART = enum.auto()
    QUESTION = enum.auto()
    """Complete headers of a request without a body."""
    REQUEST = enum.auto()
    """Complete headers; a body may follow."""
    TOO_LONG = enum.auto()
    ENDED = enum.auto()
    """The client has closed, or will say no more."""


def heard(connection: socket.socket, before: bytes, known: int) -> tuple[Heard, int]:
    """Looks at what has come of a request.

    After a part the connection is readable again only when more has come.

    Args:
        connection: Of the client.
        before: What was read of the request already.
        known: Bytes that were there at the last look.

    Returns:
        How far it is, and how many bytes are there.
    """
    try:
        waiting = connection.recv(MAX_HEADER_BYTES + 1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
    except BlockingIOError:
        return Heard.PART, known
    except OSError:
        return Heard.ENDED, known
    text = (before + waiting).lstrip(b"\r\n")  # empty lines before a request mean nothing
    end = text.find(_END)
    if 0 <= end <= MAX_HEADER_BYTES:
        _notify_from(connection, 1)
        bare = text.startswith(_WITHOUT_BODY) and not _HAS_BODY.search(text, 0, end)
        return (Heard.QUESTION if bare else Heard.REQUEST), len(waiting)
    if len(before) + len(waiting) > MAX_HEADER_BYTES:
        return Heard.TOO_LONG, len(waiting)
    if len(waiting) == known:  # readable, and nothing new: it is the end
        return Heard.ENDED, known
    _notify_from(connection, len(waiting) + 1)
    return Heard.PART, len(waiting)


def _notify_from(connection: socket.socket, count: int) -> None:
    """Lets `poll` and its kind report the connection from so many waiting bytes on."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, count)


def unsent_bytes(connection: socket.socket) -> int:
    """Bytes that the kernel holds because the other side has not taken them."""
    answer = fcntl.ioctl(connection.fileno(), termios.TIOCOUTQ, bytes(4))
    return int(struct.unpack("i", answer)[0])


def received_bytes(connection: socket.socket) -> int:
    """Bytes that have come since it was connected."""
    info = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _BYTES_RECEIVED + 8)
    return int(struct.unpack_from("Q", info, _BYTES_RECEIVED)[0])
