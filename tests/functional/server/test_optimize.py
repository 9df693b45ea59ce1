"""`model-server optimize` on a real Keras model: converted, served, or refused.

The commands run as processes of their own, so that TensorFlow never comes into the tests'.
"""

from __future__ import annotations

import io
import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from support.model_server import model_server

# One small model is made and converted for the whole module.
pytestmark = pytest.mark.xdist_group("optimize")

SUPPORT = Path(__file__).resolve().parents[2] / "support"
COMMAND = Path(sys.executable).parent / "model-server"
# Of these the model is sure: between two classes that are as good as equal, any rounding decides.
COLOURS = {
    "sun": (240, 220, 40),
    "grass": (60, 160, 40),
    "ocean": (10, 60, 220),
    "violet": (150, 20, 230),
}


def png(colour: tuple[int, int, int], seed: int) -> bytes:
    """A gradient of one colour under noise: pictures that a model of averages tells apart."""
    random = np.random.default_rng(seed)
    shade = np.linspace(0.5, 1.0, 64)[:, None, None] * np.array(colour)
    pixels = np.clip(shade + random.normal(0, 12, (64, 64, 3)), 0, 255).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


@dataclass(frozen=True)
class Workplace:
    """A Keras model, a SavedModel of it, and pictures."""

    keras: Path
    saved: Path
    pictures: Path


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Workplace:
    folder = tmp_path_factory.mktemp("models")
    pictures = folder / "pictures"
    pictures.mkdir()
    for number, (name, colour) in enumerate(COLOURS.items()):
        (pictures / f"{name}.png").write_bytes(png(colour, number))
    made = folder / "made"
    made.mkdir()
    command = [
        sys.executable,
        str(SUPPORT / "tf_classifier.py"),
        str(pictures / "ocean.png"),
        str(made),
    ]
    subprocess.run(command, check=True, capture_output=True)
    keras = folder / "keras"
    keras.mkdir()
    (made / "model.keras").rename(keras / "model.keras")
    (made / "labels.txt").rename(keras / "labels.txt")
    return Workplace(keras, made / "saved_model", pictures)


def optimize(output: Path, *flags: object) -> subprocess.CompletedProcess[str]:
    log = output.with_suffix(".log")
    log.touch()
    words = ["optimize", "--output", output, "--termination-log", log, *flags]
    command = [str(COMMAND), *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def answers(folder: Path, pictures: Path) -> dict[str, dict[str, float]]:
    """Every picture's probabilities by label, over HTTP."""
    with model_server(model=folder) as server:
        found = {}
        for path in sorted(pictures.iterdir()):
            document = server.post("/predict?top_k=6", path.read_bytes(), "image/png").json()
            found[path.name] = {
                entry["label"]: entry["probability"] for entry in document["predictions"]
            }
        return found


@pytest.fixture(scope="module")
def before(place: Workplace) -> dict[str, dict[str, float]]:
    """What the source answers, served by TensorFlow."""
    return answers(place.keras, place.pictures)


@pytest.mark.parametrize("form", ["int8", "dynamic", "float32"])
def test_the_optimized_model_answers_as_its_source(
    place: Workplace, before: dict[str, dict[str, float]], tmp_path: Path, form: str
) -> None:
    output = tmp_path / form
    flags = ("--model", place.keras, "--pictures", place.pictures, "--form", form)
    done = optimize(output, *flags, "--max-drift", "0.15")
    assert done.returncode == 0, done.stderr
    record: dict[str, Any] = json.loads((output / "optimized.json").read_text(encoding="utf-8"))
    assert (record["form"], record["pictures"], record["same_first"]) == (form, 4, 4)
    assert record["largest_difference"] <= 0.15
    assert sorted(item.name for item in output.iterdir()) == [
        "labels.txt", "model.tflite", "optimized.json",
    ]  # fmt: skip
    after = answers(output, place.pictures)
    for picture, scores in before.items():
        assert after[picture].keys() == scores.keys()
        assert max(after[picture], key=after[picture].__getitem__) == max(
            scores, key=scores.__getitem__
        )
        assert all(abs(after[picture][label] - scores[label]) <= 0.15 for label in scores)
    # A container that starts again finds its work done.
    again = optimize(output, *flags, "--max-drift", "0.15")
    assert again.returncode == 0, again.stderr
    assert "already" in again.stderr


def test_a_model_that_would_answer_otherwise_is_refused(place: Workplace, tmp_path: Path) -> None:
    output = tmp_path / "refused"
    flags = ("--model", place.keras, "--pictures", place.pictures, "--form", "int8")
    done = optimize(output, *flags, "--max-drift", "0")
    assert done.returncode == 1
    message = output.with_suffix(".log").read_text(encoding="utf-8")
    assert message.startswith("OutputsDrifted: as int8, the first class is the same in 4 of 4")
    assert "Allowed are a difference of 0 (--max-drift)" in message
    assert "Traceback" not in done.stderr
    assert not output.exists(), "nothing that looks like a model is left"


def test_pixels_of_the_wrong_range_are_no_reason_to_refuse_but_an_argument(
    place: Workplace, tmp_path: Path
) -> None:
    """A SavedModel does not say what it wants; what the flag says is part of the result."""
    output = tmp_path / "saved"
    done = optimize(output, "--model", place.saved, "--preprocessing", "none", "--form", "float32")
    assert done.returncode == 0, done.stderr
    record = json.loads((output / "optimized.json").read_text(encoding="utf-8"))
    assert record["picture"] == {"scaling": "none", "resize": "bilinear"}
    assert record["pictures"] == 16
