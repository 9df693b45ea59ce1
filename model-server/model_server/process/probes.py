"""Answers the kubelet's probes and Prometheus on a separate port.

Clients of the main port cannot delay these answers: they use none of the request threads, and a
NetworkPolicy can restrict access to the port. One thread per worker process serves all connections;
each connection gets one request and a few seconds.
"""

import contextlib
import logging
import selectors
import socket
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import orjson

from model_server.errors import InvalidSettings
from model_server.request.metrics import CONTENT_TYPE
from model_server.serving.state import State

_log = logging.getLogger("model_server")
_MAX_REQUEST_BYTES = 8 * 1024
_SECONDS = 5.0
# The kubelet opens one connection per probe, Prometheus one or two.
_MOST_CONNECTIONS = 64
# The main loop iterates at least once a second.
_STUCK_SECONDS = 30.0
_REASONS = {200: "OK", 404: "Not Found", 405: "Method Not Allowed", 503: "Service Unavailable"}


@dataclass(frozen=True)
class Answer:
    """The answer to a probe."""

    status: int
    body: bytes
    content_type: str = "application/json"

    def message(self, *, with_body: bool) -> bytes:
        """The HTTP response."""
        head = (
            f"HTTP/1.1 {self.status} {_REASONS[self.status]}\r\n"
            f"Content-Type: {self.content_type}\r\nContent-Length: {len(self.body)}\r\n"
            "Connection: close\r\n\r\n"
        )
        return head.encode() + (self.body if with_body else b"")


@dataclass
class _Client:
    """A connection: the bytes received, the bytes still to be sent, and its deadline."""

    deadline: float
    received: bytearray = field(default_factory=bytearray)
    unsent: bytes = b""


def pages(
    state: State, since_last_turn: Callable[[], float], stops: Callable[[], bool]
) -> dict[str, Callable[[], Answer]]:
    """The answers by path: as on the HTTP port, but also checking the worker's main loop.

    Args:
        state: State of the server.
        since_last_turn: Returns the seconds since the last known iteration of the main loop.
        stops: Returns whether the worker was told to stop.
    """

    def healthz() -> Answer:
        if since_last_turn() > _STUCK_SECONDS:
            return Answer(503, b'{"error":"the main loop of the worker stands still"}')
        return Answer(200, b'{"status":"alive"}')

    def readyz() -> Answer:
        if stops():
            return Answer(503, b'{"error":"the server stops"}')
        return Answer(200, orjson.dumps({"status": "ready", "models": state.registry.names}))

    def metrics() -> Answer:
        return Answer(200, state.metrics_page(), CONTENT_TYPE)

    return {"/healthz": healthz, "/readyz": readyz, "/metrics": metrics}


class Probes:
    """A small HTTP server in a thread.

    Attributes:
        port: Port on which it listens.
    """

    def __init__(self, host: str, port: int, pages: Mapping[str, Callable[[], Answer]]) -> None:
        """Starts the server.

        Args:
            host: Address to listen on.
            port: Port to listen on; the workers of one master share it.
            pages: Functions that return the answer, by path; they must not block.

        Raises:
            InvalidSettings: if the port cannot be listened on.
        """
        self._pages = pages
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        try:
            self._listener = socket.create_server((host, port), family=family, reuse_port=True)
        except OSError as error:
            raise InvalidSettings(
                f"--probe-port: cannot listen on {host} port {port}: {error.strerror or error}"
            ) from error
        self._listener.setblocking(False)
        self.port: int = self._listener.getsockname()[1]
        self._clients: dict[socket.socket, _Client] = {}
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._listener, selectors.EVENT_READ)
        threading.Thread(target=self._run, name="probes", daemon=True).start()

    def _run(self) -> None:
        while True:
            for key, _ in self._selector.select(1.0):
                if key.fileobj is self._listener:
                    self._accept()
                elif isinstance(key.fileobj, socket.socket):
                    self._serve(key.fileobj)
            now = time.monotonic()
            for connection in [c for c, client in self._clients.items() if client.deadline < now]:
                self._close(connection)

    def _accept(self) -> None:
        try:
            connection, _ = self._listener.accept()
        except OSError:  # gone already, or no descriptors left
            return
        connection.setblocking(False)
        if len(self._clients) >= _MOST_CONNECTIONS:  # drop the oldest, the most suspicious one
            self._close(next(iter(self._clients)))
        self._clients[connection] = _Client(time.monotonic() + _SECONDS)
        self._selector.register(connection, selectors.EVENT_READ)

    def _serve(self, connection: socket.socket) -> None:
        client = self._clients.get(connection)
        if client is None:  # closed in this iteration
            return
        try:
            if client.unsent:
                self._send(connection, client)
                return
            data = connection.recv(_MAX_REQUEST_BYTES)
        except BlockingIOError:
            return
        except OSError:
            self._close(connection)
            return
        client.received += data
        if b"\r\n\r\n" in client.received:
            client.unsent = self._answer(bytes(client.received))
            self._selector.modify(connection, selectors.EVENT_WRITE)
        elif not data or len(client.received) > _MAX_REQUEST_BYTES:
            self._close(connection)

    def _send(self, connection: socket.socket, client: _Client) -> None:
        client.unsent = client.unsent[connection.send(client.unsent) :]
        if not client.unsent:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_WR)
            self._close(connection)

    def _answer(self, request: bytes) -> bytes:
        method, _, rest = request.partition(b" ")
        path = rest.partition(b" ")[0].partition(b"?")[0].decode("latin-1")
        if method not in {b"GET", b"HEAD"}:
            answer = Answer(405, b'{"error":"only GET is allowed"}')
        elif path not in self._pages:
            known = ", ".join(self._pages)
            answer = Answer(404, f'{{"error":"there is {known} on this port"}}'.encode())
        else:
            try:
                answer = self._pages[path]()
            except Exception:  # noqa: BLE001 - the thread must go on
                _log.exception("a probe failed")
                answer = Answer(503, b'{"error":"the server failed; its log has the cause"}')
        return answer.message(with_body=method == b"GET")

    def _close(self, connection: socket.socket) -> None:
        self._clients.pop(connection, None)
        with contextlib.suppress(KeyError, ValueError):
            self._selector.unregister(connection)
        connection.close()
