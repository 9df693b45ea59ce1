"""Pictures that a model is asked about before it serves, to learn what its outputs are."""

from functools import cache

import numpy as np
from PIL import Image

# Their size where the model takes any.
_SIDE = 320


@cache
def sample_pictures() -> tuple[Image.Image, ...]:
    """Noise, black, white, and blocks of colour on grey; RGB, square."""
    blocks = np.full((_SIDE, _SIDE, 3), 120, np.uint8)
    third = _SIDE // 3
    blocks[third : 2 * third, 20 : 2 * third] = (220, 30, 30)
    blocks[20:third, third:] = (40, 70, 200)
    plain = [np.full((_SIDE, _SIDE, 3), value, np.uint8) for value in (0, 255)]
    return noise(_SIDE, _SIDE), *(Image.fromarray(pixels) for pixels in (*plain, blocks))


def noise(width: int, height: int) -> Image.Image:
    """An RGB picture of noise, always the same for a size.

    An integer hash of each value's number (two rounds of multiplication and shift, as in xxHash):
    NumPy's generators take 14 ms and 2 MB to import, and no request needs them.
    """
    values = np.arange(height * width * 3, dtype=np.uint32)
    for factor in (2_246_822_519, 3_266_489_917):
        values *= np.uint32(factor)
        values ^= values >> np.uint32(15)
    pixels = (values >> np.uint32(24)).astype(np.uint8)
    return Image.fromarray(pixels.reshape(height, width, 3))
