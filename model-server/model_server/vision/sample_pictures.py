"""Pictures that a model is asked about before it serves, to learn what its outputs are."""

from functools import cache

import numpy as np
from PIL import Image

# Their height and width where the model takes any.
_SIDE = 320
_Box = tuple[float, float, float, float]
_BLOCKS: tuple[tuple[_Box, tuple[int, int, int]], ...] = (
    ((0.55, 0.1, 0.85, 0.9), (220, 30, 30)),
    ((0.05, 0.6, 0.45, 0.8), (40, 70, 200)),
)
# What is drawn in each sample picture: its size (height, width) and (ymin, xmin, ymax, xmax) in
# fractions.
OBJECTS: tuple[tuple[tuple[int, int], tuple[_Box, ...]], ...] = (
    ((_SIDE, _SIDE), ()),
    ((_SIDE, _SIDE), ()),
    ((_SIDE, _SIDE), ()),
    ((_SIDE, _SIDE), tuple(box for box, _ in _BLOCKS)),
)


@cache
def sample_pictures() -> tuple[Image.Image, ...]:
    """Noise, black, white, and a wide red and a tall blue block on grey; RGB."""
    noise = np.random.default_rng(0).integers(0, 256, (_SIDE, _SIDE, 3), dtype=np.uint8)
    blocks = np.full((_SIDE, _SIDE, 3), 120, np.uint8)
    for box, colour in _BLOCKS:
        top, left, bottom, right = (round(part * _SIDE) for part in box)
        blocks[top:bottom, left:right] = colour
    plain = [np.full((_SIDE, _SIDE, 3), value, np.uint8) for value in (0, 255)]
    return tuple(Image.fromarray(pixels) for pixels in (noise, *plain, blocks))
