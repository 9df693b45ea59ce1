"""Bodies of InferenceServices, compressed: thousands of them are kept in memory. Pure."""

from __future__ import annotations

import zlib
from typing import Any

import msgspec

from inference_operator.objects import Json

# Raw deflate, without header and checksum; a higher level is slower and saves a few bytes only.
_WINDOW_BITS = -12
_LEVEL = 3


def pack(value: Json) -> bytes:
    """Compress a JSON object; never empty."""
    return zlib.compress(msgspec.json.encode(value), _LEVEL, _WINDOW_BITS)


def unpack(packed: bytes) -> dict[str, Any]:
    """The object that `pack` was given.

    Raises:
        zlib.error: It was not made by `pack`.
    """
    value: dict[str, Any] = msgspec.json.decode(zlib.decompress(packed, _WINDOW_BITS))
    return value
