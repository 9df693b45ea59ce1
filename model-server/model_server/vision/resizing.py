"""Resizes a picture to exactly the size a model takes (no padding, so boxes stay fractions).

The pixels are always Pillow's. Our own loops replace Pillow if the processor has the instructions,
the library was compiled, and a check at startup produced identical pixels. A model's scores are
therefore the same on every machine with the same version of Pillow.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from model_server.settings import Resizing
from model_server.vision.resampling import Kind, Library, keep_in_one_piece
from model_server.vision.sample_pictures import noise

Pixels = NDArray[np.uint8]

_NAMES = {Kind.AVX2: "AVX2", Kind.AVX512_VNNI: "AVX512-VNNI"}
# Source and target sizes for the check: smaller, larger, narrow, and taller than wide, which Pillow
# averages in the other order.
_CHECKED = (
    ((61, 47), (20, 30)),
    ((21, 90), (20, 30)),
    ((17, 13), (40, 50)),
    ((3, 200), (64, 5)),
    ((200, 3), (7, 64)),
)


@dataclass(frozen=True)
class Resizer:
    """Resizes pictures.

    Attributes:
        name: Name of the implementation, for the log.
        work: Takes the RGB picture, width and height in pixels, and a Pillow resampling method;
            returns [height, width, 3], or None to leave the picture to Pillow.
        reason: Why a faster implementation is not used; empty if this is the fastest.
    """

    name: str
    work: Callable[[Image.Image, tuple[int, int], Image.Resampling], Pixels | None]
    reason: str = ""

    def __call__(self, image: Image.Image, width: int, height: int, method: str) -> Pixels:
        """Resizes the picture to exactly width x height, [height, width, 3].

        Args:
            image: An RGB picture.
            width: Target width, in pixels.
            height: Target height, in pixels.
            method: nearest, bilinear or bicubic. When shrinking, the last two average over all
                covered pixels, as Pillow does and as in the reference measurements.
        """
        size = width, height
        if image.size == size:
            copied = self.work(image, size, Image.Resampling.BOX)
            return np.asarray(image) if copied is None else copied
        chosen = Image.Resampling[method.upper()]
        if chosen != Image.Resampling.NEAREST:
            pixels = self.work(image, size, chosen)
            if pixels is not None:
                return pixels
        return np.asarray(image.resize(size, chosen))


def by_pillow(reason: str = "") -> Resizer:
    """Returns a resizer that uses Pillow, with the reason why."""
    return Resizer("Pillow", lambda _image, _size, _method: None, reason)


@cache
def choose(resizing: Resizing = "auto") -> Resizer:
    """Chooses the fastest resizer on this machine, or Pillow if the settings say so."""
    if resizing == "pillow":
        return by_pillow("the settings say so")
    try:
        library = Library()
    except OSError:
        return by_pillow("the library in C was not compiled")
    if library.best == Kind.NONE:
        return by_pillow("the processor has no AVX2")
    return ours(library, library.best)


def ours(library: Library, kind: Kind) -> Resizer:
    """Returns a resizer with our own loops, or with Pillow if their pixels differ."""
    keep_in_one_piece()
    wrong = _difference(library, kind)
    if wrong:
        return by_pillow(f"this version resizes otherwise ({wrong})")
    return Resizer(
        _NAMES[kind], lambda image, size, method: library.resize(image, size, method, kind)
    )


def _difference(library: Library, kind: Kind) -> str:
    """Describes the first resize that differs from Pillow's; empty if there is none."""
    for source, size in _CHECKED:
        image = noise(*source)
        for method in (Image.Resampling.BILINEAR, Image.Resampling.BICUBIC):
            wanted = np.asarray(image.resize(size, method))
            found = library.resize(image, size, method, kind)
            if found is None or not np.array_equal(found, wanted):
                return f"{method.name.lower()} from {source} to {size}"
    return ""
