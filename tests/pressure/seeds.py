"""Whole pictures of every kind that the server reads, small, as files: what the damage starts from.

Made by Pillow from the project's example pictures, so that each has real content.
"""

from __future__ import annotations

import io
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

_EXAMPLES = Path(__file__).resolve().parents[2] / "deploy" / "examples" / "images"
_NAMES = ("paper.jpg", "printed.png", "whiteboard.jpg")
_SIDE = 160
_ORIENTATION = 0x0112


def example() -> bytes:
    """A whole picture that the bundled detector finds something in."""
    return (_EXAMPLES / "printed.png").read_bytes()


@cache
def seeds() -> tuple[bytes, ...]:
    """The files, always in the same order."""
    found: list[bytes] = []
    for name in _NAMES:
        with Image.open(_EXAMPLES / name) as original:
            picture = original.convert("RGB")
        picture.thumbnail((_SIDE, _SIDE))
        found.extend((*_jpegs(picture), *_pngs(picture), *_others(picture)))
    return tuple(found)


def _saved(picture: Image.Image, form: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, form, **options)
    return buffer.getvalue()


def _jpegs(picture: Image.Image) -> list[bytes]:
    exif = Image.Exif()
    exif[_ORIENTATION] = 6
    return [
        _saved(picture, "JPEG"),
        _saved(picture, "JPEG", exif=exif),
        _saved(picture, "JPEG", progressive=True, exif=exif),
        _saved(picture, "JPEG", subsampling=0, restart_marker_rows=1),
        _saved(picture.convert("L"), "JPEG"),
        _saved(picture.convert("CMYK"), "JPEG"),
        _saved(picture, "MPO", save_all=True, append_images=[picture]),
    ]


def _pngs(picture: Image.Image) -> list[bytes]:
    deep = Image.fromarray(np.asarray(picture.convert("L")).astype(np.uint16) * 257)
    alpha = picture.copy()
    alpha.putalpha(picture.convert("L"))
    return [
        _saved(picture, "PNG"),
        _saved(picture.quantize(16), "PNG", transparency=0),
        _saved(picture.convert("1"), "PNG"),
        _saved(picture.convert("L"), "PNG"),
        _saved(deep, "PNG"),
        _saved(alpha, "PNG"),
        _saved(alpha.convert("LA"), "PNG"),
        _saved(picture, "PNG", save_all=True, append_images=[picture.rotate(90)]),
    ]


def _others(picture: Image.Image) -> list[bytes]:
    alpha = picture.copy()
    alpha.putalpha(picture.convert("L"))
    more = [picture.rotate(90), picture.rotate(180)]
    return [
        _saved(picture, "WEBP"),
        _saved(alpha, "WEBP", lossless=True),
        _saved(picture, "WEBP", save_all=True, append_images=more),
        _saved(picture.quantize(32), "GIF"),
        _saved(picture.quantize(32), "GIF", save_all=True, append_images=more, transparency=1),
        _saved(picture, "BMP"),
        _saved(picture.quantize(256), "BMP"),
        _saved(picture.convert("1"), "BMP"),
    ]
