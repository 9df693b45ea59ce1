"""Pictures that a model is asked about before it serves, to learn what its outputs are."""

from functools import cache

import numpy as np
from PIL import Image

# Their size where the model takes any.
_SIDE = 320


@cache
def sample_pictures() -> tuple[Image.Image, ...]:
    """Noise, black, white, and blocks of colour on grey; RGB, square."""
    noise = np.random.default_rng(0).integers(0, 256, (_SIDE, _SIDE, 3), dtype=np.uint8)
    blocks = np.full((_SIDE, _SIDE, 3), 120, np.uint8)
    third = _SIDE // 3
    blocks[third : 2 * third, 20 : 2 * third] = (220, 30, 30)
    blocks[20:third, third:] = (40, 70, 200)
    plain = [np.full((_SIDE, _SIDE, 3), value, np.uint8) for value in (0, 255)]
    return tuple(Image.fromarray(pixels) for pixels in (noise, *plain, blocks))
