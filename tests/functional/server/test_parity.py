"""The server's answers against a plain script's: Pillow, LiteRT, and nothing of ours in between.

Same classes in the same order, scores within 0.01, boxes within 2 pixels: on the public pictures
as they are, and enlarged to 12 megapixels as a telephone takes them.
"""

import io
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from support.litert import run_litert
from support.model_server import COCO, COCO_LABELS, IMAGENET, IMAGENET_LABELS, RunningServer

pytestmark = pytest.mark.real_data

PICTURES = ("article_1920x1281.jpg", "parrot.jpg", "cat_720p.jpg", "pets.jpg")
THRESHOLD = 0.3
SCORE, PIXELS = 0.01, 2.0


@cache
def encoded(path: Path, megapixels: float) -> bytes:
    """A picture's file; enlarged and saved again if `megapixels` is not 0."""
    if not megapixels:
        return path.read_bytes()
    with Image.open(path) as image:
        factor = (megapixels * 1e6 / (image.width * image.height)) ** 0.5
        size = (round(image.width * factor), round(image.height * factor))
        buffer = io.BytesIO()
        image.convert("RGB").resize(size, Image.Resampling.LANCZOS).save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


def batch(data: bytes, side: int) -> tuple[Any, int, int]:
    """The picture as a model takes it, and its own width and height."""
    with Image.open(io.BytesIO(data)) as image:
        small = image.convert("RGB").resize((side, side), Image.Resampling.BICUBIC)
        return np.asarray(small)[np.newaxis], image.width, image.height


@pytest.mark.parametrize("megapixels", [0, 12])
@pytest.mark.parametrize("picture", PICTURES)
def test_detections(coco: RunningServer, data: Path, picture: str, megapixels: float) -> None:
    image = encoded(data / picture, megapixels)
    pixels, width, height = batch(image, 300)
    outputs = run_litert(COCO, pixels)
    boxes, classes, scores, _ = (outputs[name][0] for name in sorted(outputs))
    names = COCO_LABELS.read_text().splitlines()
    kept = scores >= THRESHOLD
    assert kept.any()
    answer = coco.post("/v1/models/coco:predict", image)
    assert answer.status == 200, answer.body
    found = answer.json()["predictions"][0]["detections"]
    assert [item["label"] for item in found] == [names[int(k) + 1] for k in classes[kept]]
    assert [item["score"] for item in found] == pytest.approx(scores[kept], abs=SCORE)
    # LiteRT's are (ymin, xmin, ymax, xmax) as fractions; ours (xmin, ymin, xmax, ymax) in pixels.
    inside = np.clip(boxes[kept], 0, 1)[:, [1, 0, 3, 2]] * (width, height, width, height)
    np.testing.assert_allclose([item["box"] for item in found], inside, atol=PIXELS)


@pytest.mark.parametrize("megapixels", [0, 12])
@pytest.mark.parametrize("picture", PICTURES)
def test_classes(imagenet: RunningServer, data: Path, picture: str, megapixels: float) -> None:
    image = encoded(data / picture, megapixels)
    (quantized,) = run_litert(IMAGENET, batch(image, 224)[0]).values()
    probabilities = quantized[0] / 256  # the scale that the file gives its output
    names = IMAGENET_LABELS.read_text().splitlines()
    order = np.argsort(-probabilities, kind="stable")[:5]
    answer = imagenet.post("/predict", image)
    assert answer.status == 200, answer.body
    found = answer.json()["predictions"]
    assert [item["label"] for item in found] == [names[k] for k in order]
    best = [item["probability"] for item in found]
    assert best == pytest.approx(probabilities[order], abs=SCORE)


@pytest.mark.parametrize("picture", PICTURES)
def test_a_png_gives_the_same(coco: RunningServer, data: Path, picture: str) -> None:
    """The whole way through another codec: what is measured is not a property of JPEG."""
    image = (data / picture).read_bytes()
    buffer = io.BytesIO()
    with Image.open(io.BytesIO(image)) as opened:
        opened.convert("RGB").save(buffer, "PNG", compress_level=1)
    one, other = (
        coco.post("/v1/models/coco:predict", body, kind).json()
        for body, kind in ((image, "image/jpeg"), (buffer.getvalue(), "image/png"))
    )
    assert one == other
