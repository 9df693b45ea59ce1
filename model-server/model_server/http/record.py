"""Turns an HTTP request into a `FinishedRequest`."""

import time
from dataclasses import dataclass

from flask import Request

from model_server.request.context import RequestContext
from model_server.request.finished import FinishedRequest
from model_server.request.tracing import HEADERS

_METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}


@dataclass(frozen=True)
class OpenRequest:
    """Data of a request, kept until its response has been sent.

    Attributes:
        method, path, scheme: Of the request line.
        route: The matched URL rule; empty if there is none. Metrics and spans use it instead of
            the path, so that clients cannot create labels.
        headers: Trace headers.
        body_bytes: Content-Length; 0 if missing.
        context: Context of the request.
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
        """Copies the data from Flask's request."""
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
        """The finished request.

        Args:
            status: HTTP status.
            error: Error code; empty for success.
            response_bytes: Size of the response body.
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
