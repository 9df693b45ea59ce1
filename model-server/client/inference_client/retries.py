"""When a request is tried again, and in which words a connection's failure is told.

Tried again: no connection, a connection that broke, 429 and 503 (as long as Retry-After says, or
with exponential backoff and jitter). A prediction has no side effect, so a POST may be repeated.
Not tried again: a name that does not exist, a certificate that is not trusted, an answer that did
not come in time (the server may still be busy with it; asking twice makes that worse).
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
    """urllib3's policy, telling of each retry, and giving up at once where a retry cannot help."""

    on_retry: Callable[[str], None] | None = None

    def new(self, **changes: Any) -> Self:
        """A copy with some counters changed, as urllib3 makes after each try."""
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
        """Counts one failed try.

        Raises:
            HTTPError: it was the last one, or one that no retry can mend.
        """
        if isinstance(error, _FINAL):
            raise error
        following = super().increment(method, url, response, error, _pool, _stacktrace)
        if self.on_retry and not (response and response.get_redirect_location()):
            self.on_retry(f"{_reason(response, error)}; trying again")
        return following


def policy(attempts: int, on_retry: Callable[[str], None] | None = None) -> RetryPolicy:
    """A policy that tries `attempts` more times after the first, and follows three redirects."""
    retry = RetryPolicy(
        total=attempts + 3,
        connect=attempts,
        read=attempts,
        status=attempts,
        other=attempts,
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
    """The error for a person, from urllib3's."""
    cause: BaseException = error
    if isinstance(error, MaxRetryError) and error.reason is not None:
        cause = error.reason
    if isinstance(cause, ReadTimeoutError):
        return ServerTimeout(f"{address} did not answer in time; a longer --timeout may help")
    return ServerUnreachable(
        f"cannot reach {address}: {_words(cause)}. Is the server running, and is the address right?"
    )


def _reason(response: urllib3.BaseHTTPResponse | None, error: Exception | None) -> str:
    if response is not None:
        return f"the server is busy ({response.status})"
    return _words(error) if error else "no answer"


def _words(error: BaseException) -> str:
    """What happened, without Python's names for things."""
    if isinstance(error, NameResolutionError):
        return "there is no host of that name"
    if isinstance(error, SSLError):
        return f"no secure connection ({error})"
    cause: BaseException = error.__cause__ or error
    if isinstance(error, ProtocolError) and len(error.args) > 1:
        cause = error.args[1]
    if isinstance(cause, OSError) and cause.strerror:
        return cause.strerror.lower()
    return "no connection in time" if isinstance(error, ConnectTimeoutError) else str(cause)
