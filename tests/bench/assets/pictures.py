"""The same photographs at 0.3, 2 and 12 megapixels.

Scaled from the shared test data, or, where that is absent, from the examples of this repository,
in which the bundled detector sees something. The scale changes what a server decodes, not what the
picture shows.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import cv2

from bench import paths

SIZES = {"0.3MP": 0.3e6, "2MP": 2e6, "12MP": 12e6}
PHOTOGRAPHS = ("article_1920x1281.jpg", "parrot.jpg", "cat_720p.jpg", "pets.jpg")
EXAMPLES = ("whiteboard.jpg", "paper.jpg", "printed.png")


@dataclass(frozen=True)
class Picture:
    """A JPEG file of one of the sizes."""

    name: str
    size: str
    path: Path

    @property
    def data(self) -> bytes:
        """The file's bytes."""
        return self.path.read_bytes()


def prepare(size: str) -> list[Picture]:
    """The pictures of one size, made when they are not in the cache yet.

    Raises:
        KeyError: The size is none of ``SIZES``.
    """
    area = SIZES[size]
    originals = [path for name in PHOTOGRAPHS if (path := paths.shared(name))]
    sources = originals or [paths.EXAMPLES / name for name in EXAMPLES]
    pictures = []
    for source in sources:
        target = paths.cache("pictures", f"{source.stem}-{size}.jpg")
        if not target.exists():
            _scale(source, target, area)
        pictures.append(Picture(source.stem, size, target))
    return pictures


def _scale(source: Path, target: Path, area: float) -> None:
    pixels = cv2.imread(str(source))
    if pixels is None:
        raise SystemExit(f"{source} is not a picture: restore it from the shared data")
    height, width = pixels.shape[:2]
    factor = math.sqrt(area / (width * height))
    size = (round(width * factor), round(height * factor))
    shrinking = factor < 1
    scaled = cv2.resize(
        pixels, size, interpolation=cv2.INTER_AREA if shrinking else cv2.INTER_CUBIC
    )
    cv2.imwrite(str(target), scaled, [cv2.IMWRITE_JPEG_QUALITY, 90])
