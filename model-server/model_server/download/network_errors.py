"""Describes network errors in our own words.

urllib3's messages contain its class names and full URLs, including signatures and credentials,
which do not belong in a log or a termination message.
"""

from __future__ import annotations

import ssl

from urllib3 import exceptions as kinds

_WORDS: tuple[tuple[type[BaseException], str], ...] = (
    (kinds.ReadTimeoutError, "it stopped sending"),
    (kinds.IncompleteRead, "the connection ended in the middle"),
    (kinds.ProxyError, "the proxy refused"),
    (kinds.ConnectTimeoutError, "no connection in time"),
    (kinds.ProtocolError, "the connection broke"),
)


def describe(error: BaseException) -> str:
    """Describes a urllib3 error in a few words."""
    if isinstance(error, kinds.MaxRetryError) and error.reason is not None:
        return describe(error.reason)
    if isinstance(error, kinds.SSLError):
        return _describe_tls(error)
    cause = error.__cause__ or next((arg for arg in error.args if _is_error(arg)), None)
    if isinstance(cause, kinds.IncompleteRead):
        return describe(cause)
    if not isinstance(error, kinds.ReadTimeoutError) and isinstance(cause, OSError):
        return (cause.strerror or "the connection broke").lower()
    return next((words for kind, words in _WORDS if isinstance(error, kind)), "it failed")


def _is_error(value: object) -> bool:
    return isinstance(value, BaseException)


def _describe_tls(error: BaseException) -> str:
    inner = next((arg for arg in error.args if isinstance(arg, ssl.SSLError)), None)
    if isinstance(inner, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted ({inner.verify_message})"
    return inner.reason.replace("_", " ").lower() if inner and inner.reason else "TLS failed"
