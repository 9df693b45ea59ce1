"""Load shedding: rejects requests before Flask is entered and their body is read.

Under overload most requests are rejected, on the same cores that run inference. The response, log
line, metrics and span are the same as inside Flask. `Gate.admit` remains authoritative.
"""

import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, ParamSpec

from flask import Flask, Request, Response
from werkzeug.exceptions import HTTPException
from werkzeug.http import HTTP_STATUS_CODES

from model_server.errors import RequestError
from model_server.http.errors import document
from model_server.http.lifecycle import REQUEST_ID, new_context
from model_server.http.options import JSON
from model_server.http.record import OpenRequest
from model_server.serving.state import State

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

_Arguments = ParamSpec("_Arguments")
_gated: set[object] = set()


def gated(view: Callable[_Arguments, Response]) -> Callable[_Arguments, Response]:
    """Marks a view that enters the gate; other views are never rejected here."""
    _gated.add(view)
    return view


class Shedding:
    """WSGI middleware that rejects requests when the gate is full.

    Args:
        app: The application; provides the URLs and the wrapped `wsgi_app`.
        current: State with the gate.
    """

    def __init__(self, app: Flask, current: State) -> None:
        self._app = app
        self._inner: WSGIApplication = app.wsgi_app
        self._state = current
        # Bound once: matching needs only the path and the method.
        self._urls = app.url_map.bind("")

    def __call__(
        self, environ: "WSGIEnvironment", start_response: "StartResponse"
    ) -> "Iterable[bytes]":
        """Answers 503, or calls the application."""
        gate = self._state.gate
        if environ["REQUEST_METHOD"] != "POST" or gate.inside < gate.concurrency:
            return self._inner(environ, start_response)
        started = time.perf_counter()
        request = self._app.request_class(environ)
        context = new_context(self._state, request)
        refused = gate.refusal(context)
        if refused is None or not self._is_gated(request):
            return self._inner(environ, start_response)
        body = self._body(refused)
        opened = OpenRequest.of(request, context, started)
        self._state.recorder.record(opened.finished(refused.status, refused.code, len(body)))
        headers = {
            "Content-Type": JSON,
            "Content-Length": str(len(body)),
            **refused.headers,
            REQUEST_ID: context.request_id,
        }
        start_response(_status_line(refused.status), list(headers.items()))
        return [body]

    def _is_gated(self, request: Request) -> bool:
        """Whether the request is for a gated view; sets the matched rule."""
        try:
            # The rule, not the path: clients must not be able to create metric labels.
            rule, _ = self._urls.match(request.path, "POST", return_rule=True)
        except HTTPException:  # no such URL or no POST: Flask answers
            return False
        request.url_rule = rule
        return self._app.view_functions[rule.endpoint] in _gated

    def _body(self, error: RequestError) -> bytes:
        return f"{self._app.json.dumps(document(error), separators=(',', ':'))}\n".encode()


def _status_line(status: int) -> str:
    return f"{status} {HTTP_STATUS_CODES[status].upper()}"
