"""Parses the server's address into a base URL. Pure."""

from __future__ import annotations

import re
from urllib.parse import SplitResult, urlsplit

from inference_client.errors import InvalidAddress

_HINT = "write it like http://127.0.0.1:5000"
_FORBIDDEN = re.compile(r"[\x00-\x20\x7f]")


def parse_address(text: str) -> str:
    """The base URL without a trailing slash: `127.0.0.1:5000/` gives `http://127.0.0.1:5000`.

    A path is kept, for servers behind a path prefix.

    Raises:
        InvalidAddress: it is not an http(s) URL with a host, or has a query or credentials.
    """
    with_scheme = text.strip() if "://" in text else f"http://{text.strip()}"
    if _FORBIDDEN.search(with_scheme):
        raise InvalidAddress(f"the address {text!r} contains spaces or control characters; {_HINT}")
    parts = _split(with_scheme, text)
    if parts.scheme not in {"http", "https"}:
        raise InvalidAddress(f"the address {text!r} must start with http:// or https://; {_HINT}")
    if not parts.hostname:
        raise InvalidAddress(f"the address {text!r} has no host; {_HINT}")
    if parts.username is not None or parts.query or parts.fragment:
        raise InvalidAddress(f"the address may only have a scheme, host, port and path; {_HINT}")
    return f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/')}"


def _split(url: str, text: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        _ = parts.port  # raises ValueError unless it is a number up to 65535
    except ValueError as error:
        raise InvalidAddress(f"the address {text!r} is not a URL ({error}); {_HINT}") from error
    return parts
