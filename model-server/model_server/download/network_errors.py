"""What went wrong on the network, in words of ours.

urllib3's own messages show whole URLs, with signatures and credentials in them, and names of its
classes; none of that belongs in a log or a termination message.
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
    """A few words for one of urllib3's errors."""
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
