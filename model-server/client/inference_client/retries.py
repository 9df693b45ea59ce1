"""The retry policy, and error messages for failed connections.

Retried: failed and lost connections, 429 and 503 (after Retry-After, or with exponential backoff
and jitter). Predictions have no side effects, so POST is safe to retry. Not retried: unknown
hosts, untrusted certificates, and timeouts, because the server may still be computing the first
request.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Self

import urllib3
from urllib3.exceptions import (
    ConnectTimeoutError,
    MaxRetryError,
    NameResolutionError,
    ProtocolError,
    ReadTimeoutError,
    SSLError,
)
from urllib3.util.retry import Retry

from inference_client.errors import ServerTimeout, ServerUnreachable

BUSY = (429, 503)
LONGEST_WAIT_SECONDS = 60
_FINAL = (ReadTimeoutError, NameResolutionError, SSLError)


class RetryPolicy(Retry):
    """urllib3's policy, which reports retries and fails immediately where a retry cannot help."""

    on_retry: Callable[[str], None] | None = None

    def new(self, **changes: Any) -> Self:
        """A copy with changed counters, as urllib3 makes after each attempt."""
        copy = super().new(**changes)
        copy.on_retry = self.on_retry
        return copy

    def increment(
        self,
        method: str | None = None,
        url: str | None = None,
        response: urllib3.BaseHTTPResponse | None = None,
        error: Exception | None = None,
        _pool: Any = None,
        _stacktrace: Any = None,
    ) -> Self:
        """Counts a failed attempt.

        Raises:
            HTTPError: no retries are left, or a retry cannot help.
        """
        if isinstance(error, _FINAL):
            raise error
        following = super().increment(method, url, response, error, _pool, _stacktrace)
        if self.on_retry and not (response and response.get_redirect_location()):
            self.on_retry(f"{_reason(response, error)}; retrying")
        return following


def policy(max_retries: int, on_retry: Callable[[str], None] | None = None) -> RetryPolicy:
    """A policy with `max_retries` retries that follows up to three redirects."""
    retry = RetryPolicy(
        total=max_retries + 3,
        connect=max_retries,
        read=max_retries,
        status=max_retries,
        other=max_retries,
        redirect=3,
        allowed_methods=None,
        status_forcelist=BUSY,
        backoff_factor=0.2,
        backoff_jitter=0.2,
        backoff_max=10,
        raise_on_status=False,
        retry_after_max=LONGEST_WAIT_SECONDS,
    )
    retry.on_retry = on_retry
    return retry


def explain(error: urllib3.exceptions.HTTPError, address: str) -> ServerUnreachable:
    """The client's exception for one of urllib3."""
    cause: BaseException = error
    if isinstance(error, MaxRetryError) and error.reason is not None:
        cause = error.reason
    if isinstance(cause, ReadTimeoutError):
        return ServerTimeout(f"{address} did not respond in time; try a longer --timeout")
    return ServerUnreachable(
        f"cannot reach {address}: {_words(cause)}. "
        "Is the server running, and is the address correct?"
    )


def _reason(response: urllib3.BaseHTTPResponse | None, error: Exception | None) -> str:
    if response is not None:
        return f"the server is busy ({response.status})"
    return _words(error) if error else "no response"


def _words(error: BaseException) -> str:
    """The cause, without Python's terms."""
    if isinstance(error, NameResolutionError):
        return "unknown host"
    if isinstance(error, SSLError):
        return f"TLS failed ({error})"
    cause: BaseException = error.__cause__ or error
    if isinstance(error, ProtocolError) and len(error.args) > 1:
        cause = error.args[1]
    if isinstance(cause, OSError) and cause.strerror:
        return cause.strerror.lower()
    return "the connection timed out" if isinstance(error, ConnectTimeoutError) else str(cause)
