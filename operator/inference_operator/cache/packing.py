"""Compresses the bodies of InferenceServices, as thousands are kept in memory. Pure."""

from __future__ import annotations

import zlib
from typing import Any

import msgspec

from inference_operator.objects import Json

# Raw deflate, without header and checksum; a higher level is slower and saves only a few bytes.
_WINDOW_BITS = -12
_LEVEL = 3


def pack(value: Json) -> bytes:
    """Compress a JSON object; never empty."""
    return zlib.compress(msgspec.json.encode(value), _LEVEL, _WINDOW_BITS)


def unpack(packed: bytes) -> dict[str, Any]:
    """Decompress an object compressed by `pack`.

    Raises:
        zlib.error: The input was not produced by `pack`.
    """
    value: dict[str, Any] = msgspec.json.decode(zlib.decompress(packed, _WINDOW_BITS))
    return value
