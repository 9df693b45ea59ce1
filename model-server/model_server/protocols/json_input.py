"""Parses untrusted JSON and base64 within limits.

One byte of JSON can become sixty bytes of Python objects, so bodies are checked before parsing.
"""

import base64
import binascii

import orjson

from model_server.errors import InvalidRequest, PayloadTooLarge, shown
from model_server.protocols.media import BYTE_ORDER_MARK

# 1.3 times the values, and the lists, of a 1024x1024 RGB picture.
_MAX_VALUES = 4_000_000
_MAX_LISTS = 1_400_000
# Instances and their fields; pictures and tensors contain none.
_MAX_OBJECTS = 20_000
_MAX_STRINGS = 200_000
# A list entry and a number; the others as allocated by CPython.
_BYTES_PER_VALUE = 8 + 24
_BYTES_PER_LIST = 88
_BYTES_PER_OBJECT = 240
_BYTES_PER_STRING = 64
_SPACE = b" \t\n\r\f\v"
_URL_SAFE = bytes.maketrans(b"-_", b"+/")


def parsed_bytes(body: bytes, end: int | None = None) -> int:
    """Estimates the memory of the objects parsed from JSON, including decoded base64.

    Args:
        body: The body.
        end: End of the JSON part, where binary data begins; None if the body is JSON only.
    """
    return (
        2 * len(body)
        + _BYTES_PER_VALUE * body.count(b",", 0, end)
        + _BYTES_PER_LIST * body.count(b"[", 0, end)
        + _BYTES_PER_OBJECT * body.count(b"{", 0, end)
        + _BYTES_PER_STRING * (body.count(b'"', 0, end) // 2)
    )


def check_json(body: bytes, end: int | None = None) -> None:
    """Limits the number of values in JSON before it is parsed.

    Punctuation inside strings counts too: base64 has none, and names have little.

    Args:
        body: As for `parsed_bytes`.
        end: As for `parsed_bytes`.

    Raises:
        PayloadTooLarge: if there are too many values, lists, objects or strings.
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
        InvalidRequest: if it is not JSON or nested too deeply.
        PayloadTooLarge: if it has too many values.
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
        InvalidRequest: with the name of the field.
    """
    content = text.partition(",")[2] if text.startswith("data:") else text
    try:
        # All at once and as bytes: to split at spaces makes an object of every letter between two.
        raw = content.encode("ascii").translate(_URL_SAFE, _SPACE)
        return base64.b64decode(raw + b"=" * (-len(raw) % 4), validate=True)
    except (binascii.Error, ValueError) as error:
        raise InvalidRequest(f"{shown(field)} is not valid base64: {error}") from error
