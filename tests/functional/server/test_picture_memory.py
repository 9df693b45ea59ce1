"""A picture never takes more memory than was reserved for it before it was decoded.

The worst that the limits let through, of every kind: each is decoded in a process of its own, whose
highest memory the kernel tells.
"""

import io
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from pressure.damage import blank_png

SIDE = 4_000
# Buffers of codecs, strips, and what the allocator rounds up.
SLACK = 40 << 20
_PROGRAM = """
import sys
from pressure import memory
from model_server.vision.images import ImageLimits, decode, load_codecs
import os

limits, asked = ImageLimits(), []
load_codecs(limits.formats)
with open(sys.argv[1], "rb") as file:
    data = file.read()
before = memory.resident([os.getpid()])
picture = decode(data, limits, reserve=asked.append)
if len(sys.argv) > 2:
    drawn = picture.image.copy()
print(asked[0], memory.highest([os.getpid()]) - before, picture.image.mode)
"""


def saved(form: str, mode: str = "RGB", **options: Any) -> bytes:
    buffer = io.BytesIO()
    Image.effect_noise((SIDE, SIDE), 40).convert("RGB").convert(mode).save(buffer, form, **options)
    return buffer.getvalue()


def turned() -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = 6
    return exif


KINDS: dict[str, Callable[[], bytes]] = {
    "1-bit": lambda: blank_png(SIDE, SIDE, 1, 0),
    "palette": lambda: blank_png(SIDE, SIDE, 8, 3),
    "rgb": lambda: blank_png(SIDE, SIDE, 8, 2),
    "alpha": lambda: blank_png(SIDE, SIDE, 8, 6),
    "gray-alpha": lambda: blank_png(SIDE, SIDE, 8, 4),
    "16-bit": lambda: blank_png(SIDE, SIDE, 16, 0),
    "16-bit-alpha": lambda: blank_png(SIDE, SIDE, 16, 6, interlaced=True),
    "turned": lambda: saved("JPEG", quality=30, exif=turned()),
    "cmyk": lambda: saved("JPEG", "CMYK", quality=30, exif=turned()),
    "progressive": lambda: saved("JPEG", quality=30, progressive=True, subsampling=0),
    "progressive-cmyk": lambda: saved("JPEG", "CMYK", progressive=True, exif=turned()),
    "webp": lambda: saved("WEBP", quality=1, method=0),
    "webp-lossless": lambda: saved("WEBP", "RGBA", lossless=True, method=0, quality=0),
    "webp-animated": lambda: saved(
        "WEBP", method=0, quality=1, save_all=True, append_images=[Image.new("RGB", (SIDE, SIDE))]
    ),
    "gif": lambda: saved("GIF", "L", transparency=0),
    "bmp": lambda: saved("BMP"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_no_picture_takes_more_than_was_reserved(kind: str, tmp_path: Path) -> None:
    file = tmp_path / "picture"
    file.write_bytes(KINDS[kind]())
    answer = subprocess.run(
        [sys.executable, "-c", _PROGRAM, str(file), "drawn"],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": str(Path(__file__).resolve().parents[2])},
        timeout=120,
    ).stdout.split()
    reserved, highest, mode = int(answer[0]), int(answer[1]), answer[2]
    assert mode == "RGB"
    assert highest < reserved + SLACK
    # An estimate far above would refuse pictures that fit.
    assert highest > reserved / 2
