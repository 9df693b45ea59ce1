"""Stops a listening socket without losing connections.

A connection established between the last `accept` and `close` is reset, along with any request its
client has sent. Therefore the socket first drops new SYN packets. Clients repeat them after a
second, when the port is closed, and get a refusal before they have sent anything. Connections that
are already established are still accepted.
"""

import contextlib
import ctypes
import os
import socket
import struct
from collections.abc import Iterator
from pathlib import Path

# From <asm-generic/socket.h>; missing in Python.
_SO_ATTACH_FILTER = 26
# Classic BPF (<linux/filter.h>) on the packet from its TCP header: code, jump if true, jump if
# false, operand.
_DROP_FIRST_PACKETS = (
    (0x30, 0, 0, 13),  # load the flags byte
    (0x54, 0, 0, 0x12),  # keep SYN and ACK
    (0x15, 0, 1, 0x02),  # SYN alone?
    (0x06, 0, 0, 0),  # drop
    (0x06, 0, 0, 0xFFFFFFFF),  # accept
)


def refuse_new(listener: socket.socket) -> None:
    """Drops new connection attempts; established connections can still be accepted.

    Affects all processes that share the socket. Without effect where the kernel does not support
    or allow it; connections made at the moment of closing may then be reset.
    """
    program = b"".join(struct.pack("HBBI", *step) for step in _DROP_FIRST_PACKETS)
    memory = ctypes.create_string_buffer(program, len(program))
    described = struct.pack("HP", len(_DROP_FIRST_PACKETS), ctypes.addressof(memory))
    with contextlib.suppress(OSError):
        listener.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, described)


def listeners_on(port: int) -> Iterator[socket.socket]:
    """Listening TCP sockets of this process on `port`, including those inside libraries.

    Yields duplicates that are closed afterwards; nothing without /proc.
    """
    for descriptor in list(Path("/proc/self/fd").glob("*")):
        try:
            duplicate = os.dup(int(descriptor.name))
        except OSError:  # closed in the meantime
            continue
        try:
            found = socket.socket(fileno=duplicate)
        except OSError:  # not a socket
            os.close(duplicate)
            continue
        with found:
            if found.family in {socket.AF_INET, socket.AF_INET6} and _listens(found, port):
                yield found


def _listens(found: socket.socket, port: int) -> bool:
    try:
        listening = found.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
        return bool(listening) and found.getsockname()[1] == port
    except OSError:
        return False
