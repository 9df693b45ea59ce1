"""Detects the kind of a body by its first bytes, as Content-Type is often missing or wrong.

`curl -d` labels everything as a URL-encoded form, and browsers label strings as `text/plain`.
"""

import re

from model_server.vision.picture_formats import format_of

BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_JSON = re.compile(rb"(?:\xef\xbb\xbf)?[ \t\r\n]*[{\[]")
_FORM = re.compile(rb"[A-Za-z0-9_.%+-]{1,100}=")


def looks_like_picture(body: bytes) -> bool:
    """Whether the body starts like a picture of any format."""
    return bool(format_of(body))


def looks_like_json(body: bytes) -> bool:
    """Whether the body starts like a JSON object or list."""
    return _JSON.match(body) is not None


def looks_like_form(body: bytes) -> bool:
    """Whether the body starts like a URL-encoded form: `name=`."""
    return _FORM.match(body) is not None
