"""Closes a listening socket so that no connection is lost.

A connection that is completed between the last `accept` and `close` is reset, with the request that
its client has sent already. So the socket first stops answering those that knock: their first
packet is dropped, which clients repeat after a second, when the port is closed and tells them so
before they have sent anything. Those that are through are accepted.
"""

import contextlib
import ctypes
import os
import socket
import struct
from collections.abc import Iterator
from pathlib import Path

# Of <asm-generic/socket.h>; Python does not have it.
_SO_ATTACH_FILTER = 26
# Classic BPF (<linux/filter.h>), which sees a packet from its TCP header on: code, jump if true,
# jump if false, operand.
_DROP_FIRST_PACKETS = (
    (0x30, 0, 0, 13),  # load the byte of flags
    (0x54, 0, 0, 0x12),  # keep SYN and ACK
    (0x15, 0, 1, 0x02),  # SYN alone?
    (0x06, 0, 0, 0),  # drop
    (0x06, 0, 0, 0xFFFFFFFF),  # let through
)


def refuse_new(listener: socket.socket) -> None:
    """Lets nobody new begin a connection; those that have begun can still be accepted.

    Does nothing where the kernel is not Linux or does not allow it: then connections may be reset
    that come in the moment of closing. All processes that share the socket are meant.
    """
    program = b"".join(struct.pack("HBBI", *step) for step in _DROP_FIRST_PACKETS)
    memory = ctypes.create_string_buffer(program, len(program))
    described = struct.pack("HP", len(_DROP_FIRST_PACKETS), ctypes.addressof(memory))
    with contextlib.suppress(OSError):
        listener.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, described)


def listeners_on(port: int) -> Iterator[socket.socket]:
    """This process's listening TCP sockets on `port`, also those that a library keeps to itself.

    Each is a duplicate of the descriptor and closed after its turn; nothing without a /proc.
    """
    for descriptor in list(Path("/proc/self/fd").glob("*")):
        try:
            duplicate = os.dup(int(descriptor.name))
        except OSError:  # closed meanwhile
            continue
        try:
            found = socket.socket(fileno=duplicate)
        except OSError:  # no socket
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
