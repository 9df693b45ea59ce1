"""What a body is by its first bytes, where a client's Content-Type says nothing or the wrong thing.

`curl -d` calls everything a URL-encoded form, and browsers call a string `text/plain`. Pure; opens
nothing.
"""

import re

from model_server.vision.picture_formats import format_of

BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_JSON = re.compile(rb"(?:\xef\xbb\xbf)?[ \t\r\n]*[{\[]")
_FORM = re.compile(rb"[A-Za-z0-9_.%+-]{1,100}=")


def looks_like_picture(body: bytes) -> bool:
    """Whether it begins as a picture of any format does; the codec decides whether it is one."""
    return bool(format_of(body))


def looks_like_json(body: bytes) -> bool:
    """Whether it begins as a JSON object or list does."""
    return _JSON.match(body) is not None


def looks_like_form(body: bytes) -> bool:
    """Whether it begins as a URL-encoded form does: `name=`."""
    return _FORM.match(body) is not None
