"""Pictures for calibrating and comparing a conversion, read from a folder or drawn.

Works on files and pixels, independent of models.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from model_server.errors import InvalidPictures, RequestError
from model_server.vision.images import ImageLimits, decode, encode

# More would only make this step slower: ranges settle after a few dozen pictures.
MOST = 200
DRAWN = 16
_SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp"}


@dataclass(frozen=True)
class Sample:
    """An encoded picture known to decode, with a human-readable name."""

    name: str
    data: bytes


def read_pictures(folder: Path, limits: ImageLimits) -> list[Sample]:
    """Reads at most `MOST` pictures from a folder and its subfolders, sorted by path.

    Raises:
        InvalidPictures: if there are no pictures, or one cannot be read; the message names it.
    """
    if not folder.is_dir():
        raise InvalidPictures(f"--pictures: there is no folder {folder}")
    files = sorted(
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in _SUFFIXES and path.is_file() and not path.name.startswith(".")
    )
    if not files:
        raise InvalidPictures(
            f"--pictures: {folder} has no picture in it ({', '.join(sorted(_SUFFIXES))}); give a "
            "folder with pictures of the kind that the model will see"
        )
    samples = []
    for path in _spread(files):
        try:
            sample = Sample(str(path.relative_to(folder)), path.read_bytes())
            decode(sample.data, limits)
        except (OSError, RequestError) as error:
            raise InvalidPictures(f"--pictures: {path}: {error}; remove or replace it") from error
        samples.append(sample)
    return samples


def _spread(files: list[Path]) -> list[Path]:
    """Selects at most `MOST` files at even intervals, as folders are often sorted by class."""
    step = max(1.0, len(files) / MOST)
    return [files[int(number * step)] for number in range(min(MOST, len(files)))]


def drawn_pictures() -> list[Sample]:
    """Draws the same noisy, blurred colours every time; enough to compare, not to calibrate."""
    samples = []
    for number in range(DRAWN):
        random = np.random.default_rng(number)
        coarse = random.integers(0, 256, (4 + number % 5, 5 + number % 4, 3), dtype=np.uint8)
        soft = Image.fromarray(coarse).resize((320, 240), Image.Resampling.BICUBIC)
        noise = random.normal(0, 8, (240, 320, 3))
        pixels = np.clip(np.asarray(soft, np.float32) + noise, 0, 255).astype(np.uint8)
        samples.append(Sample(f"drawn picture {number}", encode(Image.fromarray(pixels), "PNG")))
    return samples


def crops(data: bytes, count: int, limits: ImageLimits) -> list[bytes]:
    """Returns the picture and `count - 1` crops of it, every other one mirrored, for calibration.

    Args:
        data: An encoded picture.
        count: Total number of pictures to return.
        limits: Limits on the picture.
    """
    image = decode(data, limits).image
    random = np.random.default_rng(len(data))
    found = [image]
    for number in range(count - 1):
        share = random.uniform(0.6, 1.0)
        width, height = max(1, int(share * image.width)), max(1, int(share * image.height))
        left = int(random.uniform(0, image.width - width))
        top = int(random.uniform(0, image.height - height))
        part = image.crop((left, top, left + width, top + height))
        flip = Image.Transpose.FLIP_LEFT_RIGHT
        found.append(part.transpose(flip) if number % 2 else part)
    return [encode(part, "PNG") for part in found]
