"""Hooks around every request: context and limits before it, recording after it.

Clients may send a request ID (`X-Request-Id`); it is logged and returned.
"""

import socket
import time
from collections.abc import Iterator
from functools import partial

from flask import Flask, Request, Response, g, request

from model_server.errors import UnsupportedMediaType, clipped
from model_server.http.current import request_context, state
from model_server.http.record import OpenRequest
from model_server.request.context import RequestContext
from model_server.serving.state import State

REQUEST_ID = "X-Request-Id"
_TCP_ESTABLISHED = 1  # netinet/tcp.h
# Probes and scrapes are not recorded: they would drown out the requests.
_QUIET = {"/healthz", "/readyz", "/metrics", "/v2/health/live", "/v2/health/ready"}


def register_lifecycle(app: Flask) -> None:
    """Registers the hooks."""
    app.before_request(_begin)
    app.after_request(_finish)
    app.teardown_request(_release)


def new_context(current: State, asked: Request) -> RequestContext:
    """Creates the context of a request."""
    connection = _connection(asked)
    client_gone = None if connection is None else partial(hung_up, connection)
    return current.new_context(asked.headers.get(REQUEST_ID), client_gone)


def _begin() -> None:
    current = state()
    g.started = time.perf_counter()
    g.context = new_context(current, request)
    if request.method == "POST":
        _refuse_compressed()


def reserve_more(size: int) -> None:
    """Reserves `size` more bytes for this request until it ends.

    Raises:
        Overloaded: if the budget is exhausted.
    """
    held = g.get("reserved", 0)
    state().bodies.reserve(size, held)
    g.reserved = held + size


def _refuse_compressed() -> None:
    encoding = request.headers.get("Content-Encoding", "identity")
    if encoding != "identity":
        raise UnsupportedMediaType(
            f"Content-Encoding {clipped(encoding)} is not supported; send the body uncompressed"
        )


def _release(_error: BaseException | None) -> None:
    reserved = g.pop("reserved", None)
    if reserved is not None:
        state().bodies.release(reserved)


def _connection(asked: Request) -> socket.socket | None:
    connection = asked.environ.get("gunicorn.socket")
    return connection if isinstance(connection, socket.socket) else None


def is_connected(asked: Request) -> bool:
    """Whether the client has kept its side of the connection open."""
    connection = _connection(asked)
    if connection is None:
        return False
    try:
        # tcp(7): the first byte of the structure is the connection state.
        state_of_tcp = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0]
    except OSError:
        return False
    return state_of_tcp == _TCP_ESTABLISHED


def hung_up(connection: socket.socket) -> bool:
    """Whether the peer has closed the connection; consumes no data."""
    try:
        return connection.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True


def streamed(
    blocks: Iterator[bytes], length: int, content_type: str, context: RequestContext
) -> Response:
    """A response generated while it is sent.

    The stage `encode` counts the time to generate blocks, not the time to send them.
    """

    def timed() -> Iterator[bytes]:
        while True:
            with context.stage("encode"):
                block = next(blocks, None)
            if block is None:
                return
            yield block

    response = Response(timed(), content_type=content_type)
    response.content_length = length
    return response


def _finish(response: Response) -> Response:
    context = request_context()
    response.headers[REQUEST_ID] = context.request_id
    response.call_on_close(context.close)
    if request.path in _QUIET:
        return response
    current, error = state(), g.get("error_code", "")
    opened = OpenRequest.of(request, context, g.started)

    def ended() -> None:
        size = response.content_length or 0
        current.recorder.record(opened.finished(response.status_code, error, size))

    if response.is_streamed:
        response.call_on_close(ended)
    else:
        ended()
    return response
