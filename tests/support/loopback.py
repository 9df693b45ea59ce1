"""A scripted HTTP server on loopback, for faults that no well-behaved server can be asked for.

A script is a function from a request to what is to happen; every request is recorded.
"""

from __future__ import annotations

import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, cast


@dataclass(frozen=True)
class Request:
    """One request as it came in; header names in lower case."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True)
class Reply:
    """What to answer.

    Attributes:
        length: The Content-Length to claim; None for the true one, -1 for no such header.
        chunks: Instead of `body`: pieces to send one by one, for as long as the client listens.
        hang_up: Close the connection without any answer.
        reason: What follows the status in the first line; empty for the usual words.
    """

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    length: int | None = None
    chunks: Iterator[bytes] | None = None
    hang_up: bool = False
    reason: str = ""


Script = Callable[[Request], Reply]


class LoopbackServer(ThreadingHTTPServer):
    """Listens on a free port of 127.0.0.1 and answers as the script says."""

    daemon_threads = True

    def __init__(self, script: Script, tls: ssl.SSLContext | None = None) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.script = script
        self.requests: list[Request] = []
        self.scheme = "https" if tls else "http"
        if tls:
            self.socket = tls.wrap_socket(self.socket, server_side=True)

    @property
    def port(self) -> int:
        return int(self.server_address[1])

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away in the middle is part of the tests, not news."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def _answer(self) -> None:
        server = cast("LoopbackServer", self.server)
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        headers = {name.lower(): value for name, value in self.headers.items()}
        request = Request(self.command, self.path, headers, body)
        server.requests.append(request)
        reply = server.script(request)
        if reply.hang_up:
            self.close_connection = True
            return
        self.send_response(reply.status, reply.reason or None)
        for name, value in reply.headers.items():
            self.send_header(name, value)
        length = len(reply.body) if reply.length is None else reply.length
        if length >= 0:
            self.send_header("Content-Length", str(length))
        # A claimed length may be wrong; the connection is of no use after that.
        self.send_header("Connection", "close")
        self.close_connection = True
        self.end_headers()
        for chunk in reply.chunks or iter([reply.body]):
            self.wfile.write(chunk)
            self.wfile.flush()

    do_GET = do_POST = do_HEAD = _answer  # noqa: N815 - names that http.server looks for

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - http.server's name
        """Quiet: the requests are recorded."""


@contextmanager
def loopback_server(script: Script, tls: ssl.SSLContext | None = None) -> Iterator[LoopbackServer]:
    """Runs a scripted server for the length of a `with` block."""
    server = LoopbackServer(script, tls)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
