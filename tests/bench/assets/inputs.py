"""The pixels that the engine benchmark feeds: the photographs in every size, then random crops.

Whole photographs are what "the same top-1 on every test picture" is about; the crops show whether
agreement there was luck.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from bench import paths
from bench.assets import pictures

CROPS = 8


def photographs() -> int:
    """How many of the pictures are whole photographs."""
    return len(pictures.SIZES) * len(pictures.prepare("0.3MP"))


def prepare(model: str) -> Path:
    """A file with [count][side][side][3] uint8 RGB for ``resnet50`` (224) or ``detector`` (300)."""
    side = 224 if model == "resnet50" else 300
    target = paths.cache("pictures", f"inputs-{side}.npy")
    if not target.exists():
        whole = [
            _read(picture.path) for size in pictures.SIZES for picture in pictures.prepare(size)
        ]
        random = np.random.default_rng(2)
        parts = [
            _crop(_read(picture.path), random)
            for picture in pictures.prepare("2MP")
            for _ in range(CROPS)
        ]
        resized = [cv2.resize(p, (side, side), interpolation=cv2.INTER_AREA) for p in whole + parts]
        np.save(target, np.stack(resized))
    return target


def _read(path: Path) -> np.ndarray[tuple[int, int, int], np.dtype[np.uint8]]:
    pixels = cv2.imread(str(path))
    if pixels is None:
        raise SystemExit(f"{path} is not a picture: remove it, it will be made again")
    return np.asarray(cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB), np.uint8)


def _crop(
    pixels: np.ndarray[tuple[int, int, int], np.dtype[np.uint8]], random: np.random.Generator
) -> np.ndarray[tuple[int, int, int], np.dtype[np.uint8]]:
    height, width = pixels.shape[:2]
    share = random.uniform(0.7, 1.0)
    top = int(random.uniform(0, 1 - share) * height)
    left = int(random.uniform(0, 1 - share) * width)
    return pixels[top : top + int(share * height), left : left + int(share * width)]
