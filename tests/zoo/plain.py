"""What is right, by the frameworks alone: the few lines that a model's author would write.

Imports nothing of the server. Run inside the programs that build models, which have TensorFlow.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

Array = NDArray[Any]
# From a batch of pixels 0 to 255, float32, to what the model was made for.
Prepare = Callable[[Array], Array]
COLOURS = {"red": (200, 40, 40), "green": (40, 180, 60), "blue": (40, 70, 200)}
LABELS = ("ash", "birch", "cedar", "douglas fir")


def as_it_is(pixels: Array) -> Array:
    """For models that scale by themselves."""
    return pixels


def unit(pixels: Array) -> Array:
    return np.asarray(pixels / 255.0, np.float32)


def signed(pixels: Array) -> Array:
    return np.asarray(pixels / 127.5 - 1.0, np.float32)


def caffe(pixels: Array) -> Array:
    return np.asarray(pixels[..., ::-1] - np.array([103.939, 116.779, 123.68]), np.float32)


def torch(pixels: Array) -> Array:
    mean, std = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    return np.asarray((pixels / 255.0 - mean) / std, np.float32)


def discs(side: int, folder: Path) -> dict[str, Array]:
    """A disc of each colour on grey, and one picture of noise; PNG files of exactly that size."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(5)
    pictures: dict[str, Array] = {}
    for name, colour in COLOURS.items():
        image = Image.new("RGB", (side, side), (120, 130, 110))
        reach = (side * 0.2, side * 0.15, side * 0.75, side * 0.7)
        ImageDraw.Draw(image).ellipse(reach, fill=colour)
        pictures[name] = np.asarray(image)
    # Black and white somewhere, as a photograph has.
    noise = rng.integers(0, 256, (side, side, 3), dtype=np.uint8)
    noise[0, 0], noise[0, 1] = 0, 255
    pictures["noise"] = noise
    for name, pixels in pictures.items():
        Image.fromarray(pixels).save(folder / f"{name}.png")
    return pictures


@dataclass
class Shelf:
    """A folder of models with what each must answer; `expected.json` is written at the end."""

    folder: Path
    expected: dict[str, Any] = field(default_factory=dict)

    def place(self, name: str, labels: tuple[str, ...] = LABELS) -> Path:
        """The folder of a new model, with its label file."""
        made = self.folder / "models" / name
        made.mkdir(parents=True)
        if labels:
            (made / "labels.txt").write_text("\n".join(labels) + "\n")
        return made

    def expect(self, name: str, answers: dict[str, Array], step: float = 0.0) -> None:
        """Probabilities of each picture; `step` is the output's quantization."""
        rows = {picture: np.ravel(row).tolist() for picture, row in answers.items()}
        self.expected[name] = {"answers": rows, "step": step}

    def write(self) -> None:
        (self.folder / "expected.json").write_text(json.dumps(self.expected))


def tflite_answers(
    content: bytes, pictures: dict[str, Array], prepare: Prepare
) -> tuple[dict[str, Array], float]:
    """By LiteRT alone: quantized by the input's scale and zero point, dequantized likewise."""
    from ai_edge_litert.interpreter import Interpreter  # noqa: PLC0415 - costs only who calls

    interpreter = Interpreter(model_content=content, num_threads=1)
    interpreter.allocate_tensors()
    (entry,), (result,) = interpreter.get_input_details(), interpreter.get_output_details()
    answers = {}
    for name, pixels in pictures.items():
        values = prepare(pixels[np.newaxis].astype(np.float32))
        if entry["dtype"] != np.float32:
            scale, zero = entry["quantization"]
            limits = np.iinfo(entry["dtype"])
            quantized = np.round(values / scale + zero) if scale else values
            values = np.clip(quantized, limits.min, limits.max)
        interpreter.set_tensor(entry["index"], values.astype(entry["dtype"]))
        interpreter.invoke()
        raw = interpreter.get_tensor(result["index"])[0]
        scale, zero = result["quantization"]
        answers[name] = (raw.astype(np.float32) - zero) * scale if scale else raw
    return answers, float(result["quantization"][0])


def representative(pictures: dict[str, Array], prepare: Prepare) -> Callable[[], Iterator[Any]]:
    """The calibration data of the converter's guide."""

    def batches() -> Iterator[Any]:
        for pixels in pictures.values():
            yield [prepare(pixels[np.newaxis].astype(np.float32))]

    return batches
