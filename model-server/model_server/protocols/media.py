"""What a body is by its first bytes, where a client's Content-Type says nothing or the wrong thing.

`curl -d` calls everything a URL-encoded form, and browsers call a string `text/plain`. Pure; opens
nothing.
"""

import re

BYTE_ORDER_MARK = b"\xef\xbb\xbf"
# Of the formats that `vision.images` can read.
_PICTURES = re.compile(
    rb"\xff\xd8\xff|\x89PNG\r\n\x1a\n|GIF8[79]a|RIFF.{4}WEBP|BM|II\*\0|MM\0\*|"
    rb".{4}ftyp(?:avif|avis|heic|heix|mif1|msf1)",
    re.DOTALL,
)
_JSON = re.compile(rb"(?:\xef\xbb\xbf)?[ \t\r\n]*[{\[]")
_FORM = re.compile(rb"[A-Za-z0-9_.%+-]{1,100}=")


def looks_like_picture(body: bytes) -> bool:
    """Whether it begins as a picture does; the codec decides whether it is one."""
    return _PICTURES.match(body) is not None


def looks_like_json(body: bytes) -> bool:
    """Whether it begins as a JSON object or list does."""
    return _JSON.match(body) is not None


def looks_like_form(body: bytes) -> bool:
    """Whether it begins as a URL-encoded form does: `name=`."""
    return _FORM.match(body) is not None
