"""Parses untrusted JSON and base64 within limits.

One byte of JSON can become sixty bytes of Python objects, so bodies are checked before parsing.
"""

import base64
import binascii

import orjson

from model_server.errors import InvalidRequest, PayloadTooLarge, shown
from model_server.protocols.media import BYTE_ORDER_MARK

# 1.3 times the values of a 1024x1024 RGB picture.
_MAX_VALUES = 4_000_000
# A list entry and a number.
_BYTES_PER_VALUE = 8 + 24


def parsed_bytes(body: bytes) -> int:
    """Estimates the memory of the objects parsed from JSON, including decoded base64."""
    return 2 * len(body) + _BYTES_PER_VALUE * body.count(b",")


def parse_json(body: bytes) -> object:
    """Parses a JSON body.

    Raises:
        InvalidRequest: if it is not JSON or nested too deeply.
        PayloadTooLarge: if it has more values than `_MAX_VALUES`.
    """
    if len(body) > 2 * _MAX_VALUES and body.count(b",") > _MAX_VALUES:
        raise PayloadTooLarge(
            f"the JSON has more than {_MAX_VALUES} values; send large tensors in binary form"
        )
    if not body:
        raise InvalidRequest("the request has no body; send JSON")
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
    content = "".join(content.split()).replace("-", "+").replace("_", "/")
    try:
        return base64.b64decode(content + "=" * (-len(content) % 4), validate=True)
    except (binascii.Error, ValueError) as error:
        raise InvalidRequest(f"{shown(field)} is not valid base64: {error}") from error
