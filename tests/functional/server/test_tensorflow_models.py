"""Keras and SavedModel detectors, several in one server, against TensorFlow run directly."""

import base64
import io
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from support.model_server import (
    RunningServer,
    model_server,
    server_command,
    server_environment,
)

pytestmark = pytest.mark.tensorflow

ROOT = Path(__file__).resolve().parents[3]
PICTURE = ROOT / "deploy" / "examples" / "images" / "whiteboard.jpg"
SCRIPT = ROOT / "tests" / "support" / "tf_models.py"
HEADER = "Inference-Header-Content-Length"


@dataclass(frozen=True)
class Served:
    """The server, and what TensorFlow itself answers."""

    server: RunningServer
    expected: dict[str, Any]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("tensorflow")
    done = subprocess.run(
        [sys.executable, SCRIPT, PICTURE, folder],
        capture_output=True,
        text=True,
        timeout=580,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    expected = json.loads((folder / "expected.json").read_text())
    with model_server(models_dir=folder / "models", name="single") as running:
        yield Served(running, expected)


def spot(left: int, top: int) -> bytes:
    """A dark 200x100 picture with a bright square of 20 pixels."""
    image = Image.new("RGB", (200, 100), (10, 10, 10))
    image.paste((255, 255, 255), (left, top, left + 20, top + 20))
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def test_each_folder_is_a_model_with_its_own_format_and_task(served: Served) -> None:
    names = served.server.request("/v2/models").json()["models"]
    assert names == ["single", "multi", "resnet50"]
    platforms = [served.server.request(f"/v2/models/{name}").json()["platform"] for name in names]
    assert platforms == ["tensorflow_savedmodel", "tensorflow_savedmodel", "keras"]


def test_resnet50_sees_the_picture_as_keras_prepares_it(served: Served) -> None:
    """To the article's steps: nearest neighbour, BGR, the mean of ImageNet taken off."""
    expected = served.expected["resnet50"]
    for wrong in ("unscaled", "rgb"):  # each ten times further away than the comparison forgives
        assert np.abs(np.subtract(expected["right"], expected[wrong])).max() > 0.01
    answer = served.server.post("/predict?top_k=12", PICTURE.read_bytes())
    assert answer.status == 200, answer.body
    found = {item["label"]: item["probability"] for item in answer.json()["predictions"]}
    right = {f"breed {k}": value for k, value in enumerate(expected["right"])}
    assert found == pytest.approx(right, abs=0.001)
    assert max(found, key=found.__getitem__) == max(right, key=right.__getitem__)


@pytest.mark.parametrize("model", ["single", "multi"])
def test_the_object_detection_apis_signature(served: Served, model: str) -> None:
    """Named by pbtxt and by text: class 2 is the second; what else the model gives is ignored."""
    answer = served.server.post(f"/v1/models/{model}:predict", spot(40, 30), "image/png")
    assert answer.status == 200, answer.body
    sun, lamp = answer.json()["predictions"][0]["detections"]
    assert (sun["label"], sun["score"], lamp["label"]) == ("sun", 0.875, "lamp")
    assert sun["box"] == pytest.approx([40, 30, 60, 50], abs=0.01)


@pytest.mark.parametrize("model", ["single", "multi"])
def test_several_pictures_in_one_request(served: Served, model: str) -> None:
    places = [(40, 30), (100, 70), (0, 0)]
    instances = [{"b64": base64.b64encode(spot(*place)).decode()} for place in places]
    body = json.dumps({"instances": instances}).encode()
    answer = served.server.post(f"/v1/models/{model}:predict", body, "application/json")
    boxes = [item["detections"][0]["box"] for item in answer.json()["predictions"]]
    for (left, top), box in zip(places, boxes, strict=True):
        assert box == pytest.approx([left, top, left + 20, top + 20], abs=0.01)


@pytest.mark.parametrize(("model", "count", "status"), [("multi", 2, 200), ("single", 2, 400)])
def test_a_batch_of_tensors(served: Served, model: str, count: int, status: int) -> None:
    pixels = np.zeros((count, 10, 20, 3), np.uint8)
    pixels[0, 5, 10] = 255
    pixels[1, 0, 0] = 255
    item = {"name": "input_tensor", "shape": list(pixels.shape), "datatype": "UINT8"}
    head = {"inputs": [{**item, "parameters": {"binary_data_size": pixels.nbytes}}]}
    text = json.dumps(head).encode()
    answer = served.server.request(
        f"/v2/models/{model}/infer", text + pixels.tobytes(), {HEADER: str(len(text))}
    )
    assert answer.status == status, answer.body
    if status == 400:
        assert "has shape [2, 10, 20, 3]" in answer.json()["error"]
        return
    outputs = {output["name"]: output for output in answer.json()["outputs"]}
    boxes = np.reshape(outputs["detection_boxes"]["data"], outputs["detection_boxes"]["shape"])
    np.testing.assert_allclose(boxes[:, 0], [[0.5, 0.5, 0.6, 0.55], [0, 0, 0.1, 0.05]], atol=1e-6)


@pytest.mark.parametrize("suffix", ["keras", "h5"])
def test_a_keras_file_with_code_in_it_is_refused_and_never_run(suffix: str, tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    path = tmp_path / f"hostile.{suffix}"
    script = f"""
import keras
inputs = keras.Input((8, 8, 3))
touch = eval("lambda x: (open({str(ran)!r}, 'w').close(), x)[1]")
outputs = keras.layers.Flatten()(keras.layers.Lambda(touch, output_shape=(8, 8, 3))(inputs))
keras.Model(inputs, outputs).save({str(path)!r})
"""
    environment = server_environment({"TF_CPP_MIN_LOG_LEVEL": "3"})
    subprocess.run([sys.executable, "-c", script], check=True, timeout=300, env=environment)
    ran.unlink(missing_ok=True)  # making the model calls it
    done = subprocess.run(
        server_command(model=path, port=0),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        env=environment,
    )
    assert done.returncode not in {0, 1}, done.stderr[-2000:]
    assert "hostile" in done.stderr
    assert "has a Lambda layer, which is refused" in done.stderr
    assert "Traceback" not in done.stderr
    assert not ran.exists()
