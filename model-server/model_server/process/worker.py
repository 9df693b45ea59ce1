"""A gunicorn thread worker that loses no request on shutdown and no thread to a slow client.

Beyond gunicorn's own worker, it

- serves connections left in the backlog when it is told to stop;
- waits for the complete headers of a request without occupying a thread;
- answers requests without a body, such as health checks, while other threads wait for bodies;
- ends requests that arrive too slowly and responses that are not read;
- closes the connections that have been idle longest when there are too many;
- drains rejected bodies, so that clients can read the error.
"""

import contextlib
import errno
import mmap
import selectors
import socket
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

from gunicorn.http.errors import ParseException
from gunicorn.workers.gthread import TConn, ThreadWorker

from model_server.process.clients import (
    MAX_HEADER_BYTES,
    Heard,
    heard,
    received_bytes,
    unsent_bytes,
)

# A new connection that sends nothing for this long is closed.
_SILENT_SECONDS = 30.0
# Time from the first byte of a request to the end of its headers.
_HEADER_SECONDS = 10.0
# While all threads are busy, a body must arrive at least at this rate after this time.
_BODY_BYTES_PER_SECOND = 16 * 1024
_BODY_SECONDS = 2.0
# Threads for requests without a body, which never wait for a client.
_QUESTION_THREADS = 4
# Idle connections are closed once no more than this number are left.
_SPARE_CONNECTIONS = 100
# A client that reads nothing of its response for this long is dropped.
_STUCK_SECONDS = 30.0
# Interval between checks for slow clients.
_LOOK_SECONDS = 0.5
_BLOCK_BYTES = 256 * 1024
_NOBODY_THERE = {errno.EAGAIN, errno.EWOULDBLOCK, errno.ECONNABORTED}
_EMPTY = b"Connection: close\r\nContent-Length: 0\r\n\r\n"
_TOO_LATE = b"HTTP/1.1 408 Request Timeout\r\n" + _EMPTY
_TOO_LONG = b"HTTP/1.1 431 Request Header Fields Too Large\r\n" + _EMPTY


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
        # Clients that have sent part of a request's headers: bytes so far, deadline for the rest.
        self._heard: dict[TConn, tuple[int, float]] = {}
        # Connections whose thread waits for a body: since when, and bytes received by then.
        self._awaiting: dict[TConn, tuple[float, int]] = {}
        self._questions: Any = None
        self._last_turn = time.monotonic()

    @property
    def serves(self) -> bool:
        """Whether models are loaded and connections accepted; read by the master."""
        return self._serving[0] == 1

    def run(self) -> None:
        """Runs the main loop; called once the models are loaded."""
        self._serving[0] = 1
        self._last_turn = time.monotonic()
        self.app.begin_serving(lambda: time.monotonic() - self._last_turn)
        super().run()
        if self._questions is not None:
            self._questions.shutdown(wait=False)

    def get_thread_pool(self) -> ThreadPoolExecutor:
        """Creates both thread pools; called in the worker's process."""
        self._questions = ThreadPoolExecutor(_QUESTION_THREADS, thread_name_prefix="questions")
        pool: ThreadPoolExecutor = super().get_thread_pool()
        return pool

    def accept(self, listener: Any) -> None:
        """Accepts a connection; a thread gets it once the headers of a request are complete."""
        self._accept(listener)

    def _accept(self, listener: Any) -> bool:
        try:
            client, address = listener.accept()
        except OSError as error:
            if error.errno not in _NOBODY_THERE:
                raise
            return False
        if self.nr_conns >= self.worker_connections - _SPARE_CONNECTIONS:
            self._close_idlest()
        self.nr_conns += 1
        self._wait_for(TConn(self.cfg, client, address, listener.getsockname()))
        return True

    def _wait_for(self, conn: TConn) -> None:
        """Lets the main loop wait for a request's headers."""
        conn.sock.setblocking(False)
        conn.timeout = time.monotonic() + _SILENT_SECONDS
        self.pending_conns.append(conn)
        self.poller.register(
            conn.sock, selectors.EVENT_READ, partial(self.on_pending_socket_readable, conn)
        )

    def _close_idlest(self) -> None:
        """Closes the connection idle longest of those without a request in progress."""
        for waiting in (self.pending_conns, self.keepalived_conns):
            if waiting:
                self._drop(waiting[0])
                return

    def _drop(self, conn: TConn, farewell: bytes = b"") -> None:
        """Closes a connection that no thread is handling."""
        for waiting in (self.pending_conns, self.keepalived_conns):
            with contextlib.suppress(ValueError):
                waiting.remove(conn)
        self._heard.pop(conn, None)
        with contextlib.suppress(OSError, KeyError, ValueError):
            self.poller.unregister(conn.sock)
        with contextlib.suppress(OSError):
            if farewell:
                # Closing with unread data resets the connection, and the farewell would be lost.
                conn.sock.recv(2 * MAX_HEADER_BYTES, socket.MSG_DONTWAIT)
                conn.sock.send(farewell, socket.MSG_DONTWAIT)
                conn.sock.shutdown(socket.SHUT_WR)
        self.nr_conns -= 1
        conn.close()

    def on_pending_socket_readable(self, conn: TConn, client: socket.socket) -> None:
        """Called when a new connection becomes readable."""
        self._listen(conn, partial(super().on_pending_socket_readable, conn, client))

    def on_client_socket_readable(self, conn: TConn, client: socket.socket) -> None:
        """Called when a kept-alive connection becomes readable."""
        self._listen(conn, partial(super().on_client_socket_readable, conn, client))

    def _listen(self, conn: TConn, hand_over: Callable[[], None]) -> None:
        """Gives a request to a thread once its headers are complete."""
        known, deadline = self._heard.get(conn, (0, time.monotonic() + _HEADER_SECONDS))
        what, count = heard(conn.sock, _read_ahead(conn), known)
        if what is Heard.PART:
            self._heard[conn] = count, deadline
        elif what is Heard.ENDED:
            self._drop(conn)
        elif what is Heard.TOO_LONG:
            self._drop(conn, _TOO_LONG)
        else:
            self._heard.pop(conn, None)
            conn.is_question, conn.is_whole = what is Heard.QUESTION, True
            hand_over()

    def enqueue_req(self, conn: TConn) -> None:
        """Gives a connection with a complete request to a thread of the right pool."""
        whole, question = getattr(conn, "is_whole", False), getattr(conn, "is_question", False)
        conn.is_whole = conn.is_question = False  # not known for the next one
        if not whole and b"\r\n\r\n" not in _read_ahead(conn).lstrip(b"\r\n"):
            self._wait_for(conn)  # the rest of a pipelined request is still to come
            return
        pool = self._questions if question else self.tpool
        done = pool.submit(self.handle, conn)
        done.add_done_callback(
            lambda future: self.method_queue.defer(self.finish_request, conn, future)
        )

    def handle_request(self, req: Any, conn: TConn) -> Any:
        """Answers a request; its body is watched while a thread waits for it."""
        req.body = _Watched(
            req.body, partial(self._begin_waiting, conn), partial(self._end_waiting, conn)
        )
        return super().handle_request(req, conn)

    def _begin_waiting(self, conn: TConn) -> None:
        with contextlib.suppress(OSError):
            self._awaiting[conn] = time.monotonic(), received_bytes(conn.sock)

    def _end_waiting(self, conn: TConn) -> None:
        self._awaiting.pop(conn, None)

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

        Shuts down only the reading side, which wakes the thread but still lets it send a response.
        Checks all requests, so it does so only once per interval.
        """
        super().murder_pending()
        now = self._last_turn = time.monotonic()
        if now < self._next_look:
            return
        self._next_look = now + _LOOK_SECONDS
        self._end_late_headers(now)
        if len(self._reading) >= self.cfg.threads:
            self._end_slow_bodies(now)
        oldest = now - self._read_seconds
        for conn, since in list(self._reading.items()):
            if since < oldest:
                with contextlib.suppress(OSError):
                    conn.sock.shutdown(socket.SHUT_RD)
            with contextlib.suppress(OSError, ValueError):  # ended in the meantime
                self._end_if_stuck(conn)

    def _end_late_headers(self, now: float) -> None:
        for conn, (_, deadline) in list(self._heard.items()):
            if conn.sock.fileno() < 0:  # closed for another reason
                self._heard.pop(conn, None)
            elif deadline < now:
                self._drop(conn, _TOO_LATE)

    def _end_slow_bodies(self, now: float) -> None:
        """Frees threads whose clients send too slowly; called when all threads are busy."""
        for conn, (since, before) in list(self._awaiting.items()):
            seconds = now - since
            with contextlib.suppress(OSError):  # ended in the meantime
                came = received_bytes(conn.sock) - before
                if seconds > _BODY_SECONDS and came < _BODY_BYTES_PER_SECOND * seconds:
                    conn.sock.shutdown(socket.SHUT_RD)

    def _end_if_stuck(self, conn: TConn) -> None:
        """Ends responses that clients do not read, to free their memory."""
        now, unsent = time.monotonic(), unsent_bytes(conn.sock)
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


def _read_ahead(conn: TConn) -> bytes:
    """Bytes of the next request that were read together with the last one."""
    return conn.parser.unreader.buf.getvalue() if conn.parser is not None else b""


class _Watched:
    """A request body that reports when a thread starts and stops waiting for it."""

    def __init__(self, body: Any, begin: Callable[[], None], end: Callable[[], None]) -> None:
        self._body, self._begin, self._end = body, begin, end

    def read(self, size: int | None = None) -> bytes:
        """Reads at most `size` bytes; fewer only at the end."""
        self._begin()
        try:
            data: bytes = self._body.read(size)
        finally:
            self._end()
        return data

    def readline(self, size: int | None = None) -> bytes:
        """Reads one line, as WSGI requires; not used here."""
        line: bytes = self._body.readline(size)
        return line

    def readlines(self, size: int | None = None) -> list[bytes]:
        """Reads all lines, as WSGI requires; not used here."""
        lines: list[bytes] = self._body.readlines(size)
        return lines

    def __iter__(self) -> Any:
        return iter(self._body)
