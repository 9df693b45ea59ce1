"""Public models on public pictures: the figures in the data's own README.

The classes and percentages were measured with LiteRT directly, independent of this server.
"""

import hashlib
import io
import json
import re
import urllib.request
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image

from support.model_server import RunningServer

pytestmark = pytest.mark.real_data
EXAMPLES = Path(__file__).parents[3] / "deploy" / "examples"


def test_the_examples_ask_for_these_very_files(data: Path) -> None:
    def model(example: str) -> dict[str, Any]:
        body = yaml.safe_load((EXAMPLES / f"{example}.yaml").read_text())
        return dict(body["spec"]["predictor"]["model"])

    detector = hashlib.sha256((data / "coco_ssd_mobilenet_v1_quant.tflite").read_bytes())
    assert model("coco")["fileSha256"] == {"detect.tflite": detector.hexdigest()}
    classifier = hashlib.sha256((data / "mobilenet_v2_1.0_224_quant.tflite").read_bytes())
    assert model("imagenet")["sha256"] == classifier.hexdigest()


@pytest.mark.parametrize(
    ("picture", "expected"),
    [
        ("article_1920x1281.jpg", [("person", "66%")]),
        ("parrot.jpg", [("bird", "80%")]),
        ("cat_720p.jpg", [("cat", "71%")]),
        ("pets.jpg", [("dog", "77%"), ("dog", "73%")]),
    ],
)
def test_the_detector_finds_what_the_readme_says(
    coco: RunningServer, data: Path, picture: str, expected: list[tuple[str, str]]
) -> None:
    image = (data / picture).read_bytes()
    answer = coco.post("/object_detection", image)
    assert answer.status == 200
    assert answer.headers["Content-Type"] == "application/json"
    document = answer.json()
    found = [next(iter(item.items())) for item in document["detections"]]
    assert found[: len(expected)] == expected
    assert all(int(score.rstrip("%")) < 50 for _, score in found[len(expected) :])
    with Image.open(io.BytesIO(image)) as original:
        width, height = original.size
    assert document["image size"] == f"size={width}x{height}"
    pixels = np.asarray(document["image data"])
    assert pixels.shape == (height, width, 3)
    assert pixels.min() >= 0
    assert pixels.max() <= 255


def test_the_overlay_is_the_picture_with_boxes(coco: RunningServer, data: Path) -> None:
    image = (data / "cat_720p.jpg").read_bytes()
    document = coco.post("/object_detection", image).json()
    drawn = np.asarray(document["image data"], dtype=np.uint8)[..., ::-1]
    with Image.open(io.BytesIO(image)) as original:
        before = np.asarray(original.convert("RGB"))
    changed = (drawn != before).any(axis=2).mean()
    assert 0.001 < changed < 0.2


def test_the_classifier_says_macaw(imagenet: RunningServer, data: Path) -> None:
    boundary = "a-boundary"
    head = (
        f'--{boundary}\r\nContent-Disposition: form-data; name="image"; filename="dog.png"\r\n'
        "Content-Type: application/octet-stream\r\n\r\n"
    )
    body = head.encode() + (data / "parrot.jpg").read_bytes() + f"\r\n--{boundary}--\r\n".encode()
    answer = imagenet.post("/predict", body, f"multipart/form-data; boundary={boundary}")
    assert answer.status == 200
    document = answer.json()
    assert document["success"] is True
    assert len(document["predictions"]) == 5
    best = document["predictions"][0]
    assert best["label"] == "macaw"
    assert best["probability"] > 0.9


def test_the_articles_client_needs_nothing_but_this(
    coco: RunningServer, data: Path, tmp_path: Path
) -> None:
    """What the article's client does, step by step: post, parse, hand the lists to OpenCV."""
    cv2 = pytest.importorskip("cv2")
    request = urllib.request.Request(  # noqa: S310 - loopback
        coco.url + "/object_detection",
        data=(data / "article_1920x1281.jpg").read_bytes(),
        headers={"content-type": "image/jpeg"},
    )
    with urllib.request.urlopen(request) as response:  # noqa: S310
        parsed = json.loads(response.read().decode())
    assert re.fullmatch(r"size=1920x1281", parsed["image size"])
    target = tmp_path / "server_output.jpg"
    assert cv2.imwrite(str(target), np.asarray(parsed["image data"]).astype(np.uint8))
    assert cv2.imread(str(target)).shape == (1281, 1920, 3)
