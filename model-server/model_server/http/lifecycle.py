"""What surrounds every request: its context before, its log line and metrics after.

One JSON log line a request, with an id that the client can send (`X-Request-Id`) and gets back.
"""

import socket
import time
from collections.abc import Iterator
from functools import partial

from flask import Flask, Request, Response, g, request

from model_server.errors import UnsupportedMediaType
from model_server.http.current import request_context, state
from model_server.http.record import OpenRequest
from model_server.request.context import RequestContext
from model_server.serving.state import State

REQUEST_ID = "X-Request-Id"
_TCP_ESTABLISHED = 1  # netinet/tcp.h
# Probes and scrapes come every few seconds and would bury the requests.
_QUIET = {"/healthz", "/readyz", "/metrics", "/v2/health/live", "/v2/health/ready"}


def register_lifecycle(app: Flask) -> None:
    """Hooks the functions below into the application."""
    app.before_request(_begin)
    app.after_request(_finish)
    app.teardown_request(_release)


def new_context(current: State, asked: Request) -> RequestContext:
    """A context whose time begins now."""
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
    """Counts `size` bytes more for this request, until it ends.

    Raises:
        Overloaded: if they do not fit beside those of others.
    """
    held = g.get("reserved", 0)
    state().bodies.reserve(size, held)
    g.reserved = held + size


def _refuse_compressed() -> None:
    encoding = request.headers.get("Content-Encoding", "identity")
    if encoding != "identity":
        raise UnsupportedMediaType(
            f"the content encoding {encoding} is not read; pictures are compressed already"
        )


def _release(_error: BaseException | None) -> None:
    reserved = g.pop("reserved", None)
    if reserved is not None:
        state().bodies.release(reserved)


def _connection(asked: Request) -> socket.socket | None:
    connection = asked.environ.get("gunicorn.socket")
    return connection if isinstance(connection, socket.socket) else None


def is_connected(asked: Request) -> bool:
    """Whether the client's side of the connection is open, though ours may no longer read it."""
    connection = _connection(asked)
    if connection is None:
        return False
    try:
        # tcp(7): the structure begins with the state of the connection, a byte.
        state_of_tcp = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0]
    except OSError:
        return False
    return state_of_tcp == _TCP_ESTABLISHED


def hung_up(connection: socket.socket) -> bool:
    """Whether the other side has closed; looks without taking anything from the connection."""
    try:
        return connection.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True


def streamed(
    blocks: Iterator[bytes], length: int, content_type: str, context: RequestContext
) -> Response:
    """A response that is made while it is sent.

    Its stage `encode` counts the making of the blocks, not the time that the client takes.
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
