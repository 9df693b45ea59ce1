"""Resizing a picture to exactly the size that a model takes (no padding: boxes stay fractions).

Pillow's pixels, whoever makes them: Pillow itself, or our own loops where the processor has the
instructions, the library was compiled, and a check at the start gave equal pixels. A model's scores
are therefore the same on every machine that has the same Pillow.
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
# Source and target of the check: smaller, larger, narrow, and higher than wide, which Pillow
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
        name: Who does it, for the log.
        work: Takes the RGB picture, width and height in pixels, and a method of Pillow's; gives
            [height, width, 3], or None to leave the picture to Pillow.
        reason: Why it is not the fastest there could be; empty if it is.
    """

    name: str
    work: Callable[[Image.Image, tuple[int, int], Image.Resampling], Pixels | None]
    reason: str = ""

    def __call__(self, image: Image.Image, width: int, height: int, method: str) -> Pixels:
        """The picture at exactly width x height, [height, width, 3].

        Args:
            image: RGB.
            width: In pixels.
            height: In pixels.
            method: nearest, bilinear or bicubic. The last two average over all covered pixels
                when they shrink, as Pillow does and as the reference figures were measured.
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
    """Pillow's own resizing, and why."""
    return Resizer("Pillow", lambda _image, _size, _method: None, reason)


@cache
def choose(resizing: Resizing = "auto") -> Resizer:
    """What is fastest here, or Pillow's own if the settings say so."""
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
    """Our own loops of one kind, if they give Pillow's pixels."""
    keep_in_one_piece()
    wrong = _difference(library, kind)
    if wrong:
        return by_pillow(f"this version resizes otherwise ({wrong})")
    return Resizer(
        _NAMES[kind], lambda image, size, method: library.resize(image, size, method, kind)
    )


def _difference(library: Library, kind: Kind) -> str:
    """Where pixels differ from Pillow's; empty where they do not."""
    for source, size in _CHECKED:
        image = noise(*source)
        for method in (Image.Resampling.BILINEAR, Image.Resampling.BICUBIC):
            wanted = np.asarray(image.resize(size, method))
            found = library.resize(image, size, method, kind)
            if found is None or not np.array_equal(found, wanted):
                return f"{method.name.lower()} from {source} to {size}"
    return ""
