"""Reads JSON and base64 that strangers sent, within limits.

Knows no HTTP and no protocol. A body is checked before objects are made of it: one byte of JSON
can become sixty of Python objects.
"""

import base64
import binascii

import orjson

from model_server.errors import InvalidRequest, PayloadTooLarge, shown
from model_server.protocols.media import BYTE_ORDER_MARK

# 1.3 times the numbers, and the lists, in a 1024x1024 RGB picture.
_MAX_VALUES = 4_000_000
_MAX_LISTS = 1_400_000
# Instances and their fields; a picture or a tensor has none inside.
_MAX_OBJECTS = 20_000
_MAX_STRINGS = 200_000
# A list's reference to a number, and the number; the others as CPython makes them.
_BYTES_PER_VALUE = 8 + 24
_BYTES_PER_LIST = 88
_BYTES_PER_OBJECT = 240
_BYTES_PER_STRING = 64
_SPACE = b" \t\n\r\f\v"
_URL_SAFE = bytes.maketrans(b"-_", b"+/")


def parsed_bytes(body: bytes, end: int | None = None) -> int:
    """About how much memory the objects take that are made of JSON, and of base64 in it.

    Args:
        body: With the JSON.
        end: Where the JSON ends and binary tensors begin; None if it is all JSON.
    """
    return (
        2 * len(body)
        + _BYTES_PER_VALUE * body.count(b",", 0, end)
        + _BYTES_PER_LIST * body.count(b"[", 0, end)
        + _BYTES_PER_OBJECT * body.count(b"{", 0, end)
        + _BYTES_PER_STRING * (body.count(b'"', 0, end) // 2)
    )


def check_json(body: bytes, end: int | None = None) -> None:
    """Counts what a body is made of, before an object is made of it.

    Marks inside of strings count too: base64 has none of them, and names have few.

    Args:
        body: As for `parsed_bytes`.
        end: As for `parsed_bytes`.

    Raises:
        PayloadTooLarge: if there is more of something than a request can need.
    """
    for mark, most, what in (
        (b",", _MAX_VALUES, "values"),
        (b"[", _MAX_LISTS, "lists"),
        (b"{", _MAX_OBJECTS, "objects"),
        (b'"', 2 * _MAX_STRINGS, "strings"),
    ):
        if len(body) > most and body.count(mark, 0, end) > most:
            number = most // 2 if what == "strings" else most
            raise PayloadTooLarge(
                f"the JSON has more than {number} {what}; send large tensors in binary form"
            )


def parse_json(body: bytes) -> object:
    """Parses a JSON body.

    Raises:
        InvalidRequest: if it is not JSON, or nested too deeply.
        PayloadTooLarge: if there is more in it than a request can need.
    """
    if not body:
        raise InvalidRequest("the request has no body; send JSON")
    check_json(body)
    try:
        return orjson.loads(body.removeprefix(BYTE_ORDER_MARK))
    except (orjson.JSONDecodeError, RecursionError) as error:
        cause = "it is not UTF-8 text" if "UTF-8" in str(error) else str(error)
        raise InvalidRequest(f"the body is not JSON: {cause}") from error


def decode_base64(text: str, field: str) -> bytes:
    """Decodes standard or URL-safe base64, also as a data URL (`data:image/png;base64,...`).

    Raises:
        InvalidRequest: naming the field.
    """
    content = text.partition(",")[2] if text.startswith("data:") else text
    try:
        # All at once and as bytes: to split at spaces makes an object of every letter between two.
        raw = content.encode("ascii").translate(_URL_SAFE, _SPACE)
        return base64.b64decode(raw + b"=" * (-len(raw) % 4), validate=True)
    except (binascii.Error, ValueError) as error:
        raise InvalidRequest(f"{shown(field)} is not base64: {error}") from error
