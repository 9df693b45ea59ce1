"""Bytes of a JPEG to the pixels a model takes, exactly: the same work as the server's.

The whole picture is decoded and resized as the source articles do it, by Pillow's bicubic filter,
which averages over all covered pixels. Every contestant therefore sees the same tensor, to the
last bit, and gives the same scores.
"""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

Pixels = NDArray[np.uint8]
# What is written, and the edges (top, left, bottom, right) of its box in 0 to 1.
Mark = tuple[str, Sequence[float]]


def decode(data: bytes, _needed: int = 0) -> Image.Image:
    """The picture in its full size, RGB; what a model needs at least does not matter here.

    Raises:
        OSError: The bytes are no picture.
    """
    picture = Image.open(io.BytesIO(data))
    picture.load()
    # Conversion would copy all pixels even where there is nothing to convert.
    return picture if picture.mode == "RGB" else picture.convert("RGB")


def model_input(picture: Image.Image, width: int, height: int) -> Pixels:
    """The picture as [1][height][width][3] in RGB order, stretched to the model's size."""
    resized = picture.resize((width, height), Image.Resampling.BICUBIC)
    return np.asarray(resized, np.uint8)[np.newaxis]


def draw(picture: Image.Image, marks: Sequence[Mark]) -> Image.Image:
    """The picture with every mark drawn over it, in place."""
    pen = ImageDraw.Draw(picture)
    width, height = picture.size
    for text, (top, left, bottom, right) in marks:
        start = (int(left * width), int(top * height))
        pen.rectangle((*start, int(right * width), int(bottom * height)), None, (0, 200, 0), 2)
        pen.text(start, text, (0, 200, 0), font_size=18)
    return picture


def jpeg(picture: Image.Image) -> bytes:
    """The picture as JPEG bytes at quality 90."""
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=90)
    return buffer.getvalue()
