"""A gunicorn thread worker that loses no request on shutdown and no thread to a slow client.

Beyond gunicorn's own worker, it

- serves connections left in the backlog when it is told to stop;
- waits for the first byte of a connection without occupying a thread;
- ends requests that arrive too slowly and responses that are not read;
- drains rejected bodies, so that clients can read the error.
"""

import contextlib
import errno
import fcntl
import mmap
import selectors
import socket
import struct
import termios
import time
from functools import partial
from typing import Any

from gunicorn.http.errors import ParseException
from gunicorn.workers.gthread import TConn, ThreadWorker

# A new connection that sends nothing for this long is closed.
_SILENT_SECONDS = 30.0
# A client that reads nothing of its response for this long is dropped.
_STUCK_SECONDS = 30.0
# Interval between checks for slow clients.
_LOOK_SECONDS = 0.5
_BLOCK_BYTES = 256 * 1024
_NOBODY_THERE = {errno.EAGAIN, errno.EWOULDBLOCK, errno.ECONNABORTED}


class Worker(ThreadWorker):  # type: ignore[misc]  # gunicorn is untyped
    """A worker process: one thread per request, and a main loop that accepts and supervises."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        # Created before the fork, so that it is shared with the master.
        self._serving = mmap.mmap(-1, 1)
        self._reading: dict[TConn, float] = {}
        self._read_seconds: float = self.app.read_seconds
        self._body_bytes: int = self.app.body_bytes
        self._next_look = 0.0
        # Unread bytes of each client's response, and since when this number has not changed.
        self._unsent: dict[TConn, tuple[int, float]] = {}

    @property
    def serves(self) -> bool:
        """Whether models are loaded and connections accepted; read by the master."""
        return self._serving[0] == 1

    def run(self) -> None:
        """Runs the main loop; called once the models are loaded."""
        self._serving[0] = 1
        super().run()

    def accept(self, listener: Any) -> None:
        """Accepts a connection; a thread gets it once it has sent something."""
        self._accept(listener)

    def _accept(self, listener: Any) -> bool:
        try:
            client, address = listener.accept()
        except OSError as error:
            if error.errno not in _NOBODY_THERE:
                raise
            return False
        self.nr_conns += 1
        conn = TConn(self.cfg, client, address, listener.getsockname())
        conn.timeout = time.monotonic() + _SILENT_SECONDS
        self.pending_conns.append(conn)
        self.poller.register(
            client, selectors.EVENT_READ, partial(self.on_pending_socket_readable, conn)
        )
        return True

    def handle(self, conn: TConn) -> Any:
        """Handles the next request of a connection, timed for `murder_pending`."""
        self._reading[conn] = time.monotonic()
        try:
            return super().handle(conn)
        finally:
            self._reading.pop(conn, None)
            self._unsent.pop(conn, None)

    def _keepalive_after(self, conn: TConn, keepalive: bool) -> bool:
        """Reads and discards the rest of a rejected body, up to a limit.

        Closing instead would reset the connection while the client still sends, so that it saw a
        broken pipe instead of the error. gunicorn itself reads 64 KB. `murder_pending` ends
        clients that send too slowly.
        """
        left = self._body_bytes
        with contextlib.suppress(OSError, ParseException):
            while left > 0 and (block := conn.parser.mesg.body.read(_BLOCK_BYTES)):
                left -= len(block)
        return bool(super()._keepalive_after(conn, keepalive))

    def murder_pending(self) -> None:
        """Also ends requests that arrive too slowly; called in every iteration of the main loop.

        Shuts down the reading side only, which wakes the thread up and lets a response still be
        sent. Checks all requests, and therefore only once per interval.
        """
        super().murder_pending()
        now = time.monotonic()
        if now < self._next_look:
            return
        self._next_look = now + _LOOK_SECONDS
        oldest = now - self._read_seconds
        for conn, since in list(self._reading.items()):
            if since < oldest:
                with contextlib.suppress(OSError):
                    conn.sock.shutdown(socket.SHUT_RD)
            with contextlib.suppress(OSError, ValueError):  # ended in the meantime
                self._end_if_stuck(conn)

    def _end_if_stuck(self, conn: TConn) -> None:
        """Ends responses that clients do not read, to free their memory."""
        now, unsent = time.monotonic(), _unsent_bytes(conn.sock)
        before, since = self._unsent.get(conn, (0, now))
        if unsent == 0 or unsent != before:
            self._unsent[conn] = (unsent, now)
        elif now - since > min(_STUCK_SECONDS, self._read_seconds):
            conn.sock.shutdown(socket.SHUT_RDWR)

    def set_accept_enabled(self, enabled: bool) -> None:
        """On shutdown, first accepts the backlog: closing would reset those connections."""
        super().set_accept_enabled(enabled)
        if enabled or self.alive:
            return
        self.app.begin_stop()
        for listener in self.sockets:
            if listener.sock is not None:
                while self._accept(listener):
                    pass
                listener.close()

    def _cap_keepalive(self, deadline: float) -> None:
        """Limits how long silent connections delay the shutdown."""
        super()._cap_keepalive(deadline)
        for conn in self.pending_conns:
            conn.timeout = min(conn.timeout, deadline)


def _unsent_bytes(connection: socket.socket) -> int:
    """Bytes in the kernel's send queue that the peer has not acknowledged."""
    answer = fcntl.ioctl(connection.fileno(), termios.TIOCOUTQ, bytes(4))
    return int(struct.unpack("i", answer)[0])
