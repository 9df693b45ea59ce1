"""Bytes of a JPEG to the pixels a model takes, as cheaply as OpenCV can: the second limit.

The JPEG decoder can stop early and give 1/2, 1/4 or 1/8 of the size; decoding to the smallest of
these that is still at least as large as the model's input saves most of the work on a large
picture. Scores differ from those of the whole picture, by a few hundredths for a quantized model,
so it is not the same work; it shows what exactness costs.
"""

from __future__ import annotations

import struct

import cv2
import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]

# OpenCV would otherwise start a thread for every core of the machine in every worker.
cv2.setNumThreads(1)

_REDUCED = {
    8: cv2.IMREAD_REDUCED_COLOR_8,
    4: cv2.IMREAD_REDUCED_COLOR_4,
    2: cv2.IMREAD_REDUCED_COLOR_2,
}
# Start-of-frame markers hold the size; C4, C8 and CC in their range are other segments.
_FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}


def jpeg_size(data: bytes) -> tuple[int, int]:
    """Width and height in pixels, read from the header alone (ITU T.81, B.2.2).

    Raises:
        ValueError: The bytes are no JPEG, or hold no frame header.
    """
    if data[:2] != b"\xff\xd8":
        raise ValueError("not a JPEG: it does not begin with FF D8")
    at = 2
    while at + 9 <= len(data):
        marker, length = data[at + 1], struct.unpack_from(">H", data, at + 2)[0]
        if marker in _FRAMES:
            height, width = struct.unpack_from(">HH", data, at + 5)
            return width, height
        at += 2 + length
    raise ValueError("not a whole JPEG: it has no frame header")


def reduction(width: int, height: int, needed: int) -> int:
    """The largest factor of 1, 2, 4 and 8 that leaves both sides at least ``needed`` pixels."""
    for factor in _REDUCED:
        if min(width, height) // factor >= needed:
            return factor
    return 1


def decode(data: bytes, needed: int = 0) -> Pixels:
    """The picture as [height][width][3] in BGR order, at least ``needed`` pixels on each side.

    With ``needed`` 0 the picture comes in its full size.

    Raises:
        ValueError: The bytes are no picture.
    """
    flag = cv2.IMREAD_COLOR
    if needed:
        flag = _REDUCED.get(reduction(*jpeg_size(data), needed), flag)
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), flag)
    if pixels is None:
        raise ValueError("not a picture that OpenCV can decode")
    return pixels.astype(np.uint8, copy=False)


def model_input(pixels: Pixels, width: int, height: int) -> Pixels:
    """The picture as [1][height][width][3] in RGB order, stretched to the model's size."""
    resized = cv2.resize(pixels, (width, height), interpolation=cv2.INTER_LINEAR)
    return cv2.cvtColor(resized, cv2.COLOR_BGR2RGB)[np.newaxis].astype(np.uint8, copy=False)


def jpeg(pixels: Pixels) -> bytes:
    """The picture as JPEG bytes at quality 90."""
    return cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, 90])[1].tobytes()
