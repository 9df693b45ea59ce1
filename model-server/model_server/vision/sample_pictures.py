"""Sample pictures that a model is run on before it serves, to learn what its outputs mean."""

from functools import cache

import numpy as np
from PIL import Image

# Height and width of the sample pictures, in pixels.
_SIDE = 320
_Box = tuple[float, float, float, float]
_BLOCKS: tuple[tuple[_Box, tuple[int, int, int]], ...] = (
    ((0.55, 0.1, 0.85, 0.9), (220, 30, 30)),
    ((0.05, 0.6, 0.45, 0.8), (40, 70, 200)),
)
# For each sample picture, its size (height, width) and the boxes of the objects drawn in it:
# (ymin, xmin, ymax, xmax) in fractions.
OBJECTS: tuple[tuple[tuple[int, int], tuple[_Box, ...]], ...] = (
    ((_SIDE, _SIDE), ()),
    ((_SIDE, _SIDE), ()),
    ((_SIDE, _SIDE), ()),
    ((_SIDE, _SIDE), tuple(box for box, _ in _BLOCKS)),
)


@cache
def sample_pictures() -> tuple[Image.Image, ...]:
    """Returns RGB pictures: noise, black, white, and a wide red and a tall blue block on grey."""
    blocks = np.full((_SIDE, _SIDE, 3), 120, np.uint8)
    for box, colour in _BLOCKS:
        top, left, bottom, right = (round(part * _SIDE) for part in box)
        blocks[top:bottom, left:right] = colour
    plain = [np.full((_SIDE, _SIDE, 3), value, np.uint8) for value in (0, 255)]
    return noise(_SIDE, _SIDE), *(Image.fromarray(pixels) for pixels in (*plain, blocks))


def noise(width: int, height: int) -> Image.Image:
    """Returns an RGB picture of noise, always the same for a given size.

    Hashes the index of each value (two rounds of multiplication and shift, as in xxHash), because
    NumPy's generators take 14 ms and 2 MB to import and no request needs them.
    """
    values = np.arange(height * width * 3, dtype=np.uint32)
    for factor in (2_246_822_519, 3_266_489_917):
        values *= np.uint32(factor)
        values ^= values >> np.uint32(15)
    pixels = (values >> np.uint32(24)).astype(np.uint8)
    return Image.fromarray(pixels.reshape(height, width, 3))
