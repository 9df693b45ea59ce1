"""The same photographs at 0.3, 2 and 12 megapixels.

Scaled from the shared test data, or, where that is absent, drawn from a fixed seed; the run's
description says which. The scale changes what a server decodes, not what the picture shows.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from bench import paths

SIZES = {"0.3MP": 0.3e6, "2MP": 2e6, "12MP": 12e6}
PHOTOGRAPHS = ("article_1920x1281.jpg", "parrot.jpg", "cat_720p.jpg", "pets.jpg")


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
    sources = originals or [_drawn(number) for number in range(4)]
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


def _drawn(number: int) -> Path:
    """A picture of blobs over noise: no photograph, but as much work to decode as one."""
    target = paths.cache("pictures", f"drawn{number}.jpg")
    if not target.exists():
        random = np.random.default_rng(number)
        coarse = random.integers(0, 256, (15, 20, 3), dtype=np.uint8)
        pixels = cv2.resize(coarse, (1600, 1200), interpolation=cv2.INTER_CUBIC).astype(np.float32)
        pixels += random.normal(0, 6, pixels.shape)
        cv2.imwrite(str(target), np.clip(pixels, 0, 255).astype(np.uint8))
    return target
