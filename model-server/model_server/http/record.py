"""An HTTP request as the recorder takes it, also after Flask has let go of the request."""

import time
from dataclasses import dataclass

from flask import Request

from model_server.request.context import RequestContext
from model_server.request.finished import FinishedRequest
from model_server.request.tracing import HEADERS

_METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}


@dataclass(frozen=True)
class OpenRequest:
    """What is kept of a request until its answer has been sent.

    Attributes:
        method, path, scheme: Of the request line.
        route: The rule that the URL matched, empty if none did. Metrics and spans have it and
            never the path: clients must not be able to make up labels.
        headers: Those that say which trace it belongs to.
        body_bytes: As announced; 0 if nothing was.
        context: With the stages of the request.
        started: `time.perf_counter()` seconds.
    """

    method: str
    path: str
    scheme: str
    route: str
    headers: dict[str, str]
    body_bytes: int
    context: RequestContext
    started: float

    @classmethod
    def of(cls, request: Request, context: RequestContext, started: float) -> "OpenRequest":
        """Keeps what is needed of Flask's request."""
        return cls(
            method=request.method,
            path=request.path,
            scheme=request.scheme,
            route=request.url_rule.rule if request.url_rule else "",
            headers={name: request.headers[name] for name in HEADERS if name in request.headers},
            body_bytes=request.content_length or 0,
            context=context,
            started=started,
        )

    def finished(self, status: int, error: str, response_bytes: int) -> FinishedRequest:
        """The request with its answer.

        Args:
            status: HTTP's number.
            error: The error's code; empty if there is none.
            response_bytes: Size of the answer's body.
        """
        known = self.method in _METHODS
        attributes: dict[str, str | int] = {
            "http.request.method": self.method if known else "_OTHER",
            "http.response.status_code": status,
            "http.request.body.size": self.body_bytes,
            "http.response.body.size": response_bytes,
            "url.path": self.path,
            "url.scheme": self.scheme,
        }
        if self.route:
            attributes["http.route"] = self.route
        if error:
            attributes["error.type"] = error
        method = self.method if known else "HTTP"
        return FinishedRequest(
            endpoint=self.route or "unmatched",
            line=f"{self.method} {self.path} {status}",
            status=status,
            error=error,
            server_fault=status >= 500,
            request_bytes=self.body_bytes,
            response_bytes=response_bytes,
            headers=self.headers,
            span_name=f"{method} {self.route}" if self.route else method,
            attributes=attributes,
            started=self.started,
            seconds=time.perf_counter() - self.started,
            context=self.context,
        )
