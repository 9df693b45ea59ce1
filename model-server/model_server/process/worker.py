"""gunicorn's threaded worker, made to lose no request when it stops and no thread to a slow client.

What gunicorn does not do by itself: answer the connections that the kernel has accepted for us
when the order to stop comes, wait for a new connection's first byte without holding a thread, and
give up on a client that sends its request a byte at a time or never takes its answer, and take what
was refused of a long body, so that the client gets to read why. It knows nothing of models or
routes.
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

# A new connection that says nothing for this long is closed.
_SILENT_SECONDS = 30.0
# A client that takes nothing of its answer for this long is given up.
_STUCK_SECONDS = 30.0
# Between two looks for clients that are too slow.
_LOOK_SECONDS = 0.5
_BLOCK_BYTES = 256 * 1024
_NOBODY_THERE = {errno.EAGAIN, errno.EWOULDBLOCK, errno.ECONNABORTED}


class Worker(ThreadWorker):  # type: ignore[misc]  # gunicorn is untyped
    """One worker process: a thread for each request, a main loop that accepts and watches."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        # Made before the fork, so that the master sees what the worker writes.
        self._serving = mmap.mmap(-1, 1)
        self._reading: dict[TConn, float] = {}
        self._read_seconds: float = self.app.read_seconds
        self._body_bytes: int = self.app.body_bytes
        self._next_look = 0.0
        # How much of its answer each client has not taken yet, and since when as much.
        self._unsent: dict[TConn, tuple[int, float]] = {}

    @property
    def serves(self) -> bool:
        """Whether its models are loaded and it accepts connections; for the master."""
        return self._serving[0] == 1

    def run(self) -> None:
        """The main loop, which begins when the models are loaded."""
        self._serving[0] = 1
        super().run()

    def accept(self, listener: Any) -> None:
        """Takes a new connection; a thread gets it when it has something to say."""
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
        """Handles a connection's next request; notes since when, for `murder_pending`."""
        self._reading[conn] = time.monotonic()
        try:
            return super().handle(conn)
        finally:
            self._reading.pop(conn, None)
            self._unsent.pop(conn, None)

    def _keepalive_after(self, conn: TConn, keepalive: bool) -> bool:
        """Takes what was refused unread of a body that is not too long, and throws it away.

        To close instead resets the connection while the client still sends: it would learn that
        the pipe is broken, not why it was refused. gunicorn itself takes 64 KB. A client that
        sends too slowly is ended by `murder_pending`.
        """
        left = self._body_bytes
        with contextlib.suppress(OSError, ParseException):
            while left > 0 and (block := conn.parser.mesg.body.read(_BLOCK_BYTES)):
                left -= len(block)
        return bool(super()._keepalive_after(conn, keepalive))

    def murder_pending(self) -> None:
        """Called at every turn of the main loop: also ends the reading of what comes too slowly.

        The reading side is shut, so that the thread wakes up; an answer that is being computed
        can still be sent. All requests are looked at, so not at every turn.
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
            with contextlib.suppress(OSError, ValueError):  # it has ended meanwhile
                self._end_if_stuck(conn)

    def _end_if_stuck(self, conn: TConn) -> None:
        """Wakes a thread whose client does not take the answer: its memory is needed elsewhere."""
        now, unsent = time.monotonic(), _unsent_bytes(conn.sock)
        before, since = self._unsent.get(conn, (0, now))
        if unsent == 0 or unsent != before:
            self._unsent[conn] = (unsent, now)
        elif now - since > min(_STUCK_SECONDS, self._read_seconds):
            conn.sock.shutdown(socket.SHUT_RDWR)

    def set_accept_enabled(self, enabled: bool) -> None:
        """When stopping, first takes what waits in the backlog: closing would reset it."""
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
        """When stopping, no connection that says nothing keeps the worker longer than that."""
        super()._cap_keepalive(deadline)
        for conn in self.pending_conns:
            conn.timeout = min(conn.timeout, deadline)


def _unsent_bytes(connection: socket.socket) -> int:
    """Bytes that the kernel holds because the other side has not taken them."""
    answer = fcntl.ioctl(connection.fileno(), termios.TIOCOUTQ, bytes(4))
    return int(struct.unpack("i", answer)[0])
