"""A detector and a classifier over LiteRT: JPEG bytes in, labels and scores out.

The engine is the one this software recommends, with one thread for each core it may use. Both
models take [1][height][width][3] uint8 RGB; the classifier's own preprocessing is part of its
graph.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from ai_edge_litert.interpreter import Interpreter

THRESHOLD = 0.5


class Model(Protocol):
    """What every contestant serves."""

    def answer(self, data: bytes) -> dict[str, Any]:
        """The predictions for one JPEG, as plain JSON values."""

    def annotate(self, data: bytes) -> bytes:
        """The same picture as JPEG with what was found drawn over it."""


@dataclass(frozen=True)
class Box:
    """One detection: pixel-free edges in 0 to 1, a label and a score in 0 to 1."""

    label: str
    score: float
    edges: list[float]


class LiteRT:
    """A tflite file with one picture-shaped input.

    Args:
        path: The model file.
        threads: Threads of one inference.
    """

    def __init__(self, path: Path, threads: int) -> None:
        self._interpreter = Interpreter(model_path=str(path), num_threads=threads)
        self._interpreter.allocate_tensors()
        details = self._interpreter.get_input_details()[0]
        self._input = details["index"]
        _, self.height, self.width, _ = (int(size) for size in details["shape"])
        self._outputs = [detail["index"] for detail in self._interpreter.get_output_details()]
        self._scales = [
            detail["quantization"] if detail["dtype"] != np.float32 else (1.0, 0)
            for detail in self._interpreter.get_output_details()
        ]

    def run(self, picture: Any) -> list[Any]:
        """The dequantized outputs for [1][height][width][3] uint8 RGB, in the model's order."""
        self._interpreter.set_tensor(self._input, picture)
        self._interpreter.invoke()
        return [
            (self._interpreter.get_tensor(index).astype(np.float32) - zero) * scale
            for index, (scale, zero) in zip(self._outputs, self._scales, strict=True)
        ]


class Detector:
    """An SSD detector whose post-processing is part of the model (four outputs).

    Args:
        engine: Runs the model.
        labels: The name of each class, by number.
        pictures: ``bench.vision.pillow`` or ``bench.vision.opencv``.
    """

    def __init__(self, engine: LiteRT, labels: Sequence[str], pictures: Any) -> None:
        self._engine = engine
        self._labels = labels
        self._pictures = pictures

    def detect(self, pixels: Any) -> list[Box]:
        """What the model sees with a score of at least one half, best first."""
        engine = self._engine
        picture = self._pictures.model_input(pixels, engine.width, engine.height)
        boxes, classes, scores, _count = engine.run(picture)
        return [
            Box(self._labels[int(number)], float(score), [float(edge) for edge in edges])
            for edges, number, score in zip(boxes[0], classes[0], scores[0], strict=True)
            if score >= THRESHOLD
        ]

    def answer(self, data: bytes) -> dict[str, Any]:
        pixels = self._pictures.decode(data, min(self._engine.width, self._engine.height))
        return {
            "detections": [
                {"label": box.label, "score": round(box.score, 4), "box": box.edges}
                for box in self.detect(pixels)
            ]
        }

    def annotate(self, data: bytes) -> bytes:
        # One decode in full size serves both the model and the drawing.
        pixels = self._pictures.decode(data)
        marks = [(f"{box.label}: {box.score:.0%}", box.edges) for box in self.detect(pixels)]
        pixels = self._pictures.draw(pixels, marks)
        return bytes(self._pictures.jpeg(pixels))


class Classifier:
    """A classifier with one output of probabilities.

    Args:
        engine: Runs the model.
        labels: The name of each class, by number.
        pictures: ``bench.vision.pillow`` or ``bench.vision.opencv``.
    """

    def __init__(self, engine: LiteRT, labels: Sequence[str], pictures: Any) -> None:
        self._engine = engine
        self._labels = labels
        self._pictures = pictures

    def answer(self, data: bytes) -> dict[str, Any]:
        engine = self._engine
        pixels = self._pictures.decode(data, min(engine.width, engine.height))
        scores = engine.run(self._pictures.model_input(pixels, engine.width, engine.height))[0][0]
        best = np.argsort(scores)[: -5 - 1 : -1]
        return {
            "predictions": [
                {"label": self._labels[index], "probability": float(scores[index])}
                for index in best
            ]
        }

    def annotate(self, data: bytes) -> bytes:
        pixels = self._pictures.decode(data)
        text = self.answer(data)["predictions"][0]["label"]
        pixels = self._pictures.draw(pixels, [(text, (0.1, 0.1, 0.9, 0.9))])
        return bytes(self._pictures.jpeg(pixels))


def load(kind: str, path: Path, labels: Path, threads: int, pictures: str = "pillow") -> Model:
    """The detector or classifier in a file.

    Args:
        kind: ``detector`` or ``classifier``.
        path: The tflite file.
        labels: One label per line, in the order of the model's classes.
        threads: Threads of one inference.
        pictures: ``pillow`` does the same work as the server, ``opencv`` less.
    """
    # Imported by name: a contestant should not pay for the library that it does not use.
    codec = importlib.import_module(f"bench.vision.{pictures}")
    names = labels.read_text(encoding="utf-8").splitlines()
    engine = LiteRT(path, threads)
    made = Detector if kind == "detector" else Classifier
    return made(engine, names, codec)


def from_environment() -> Model:
    """The model that the benchmark's variables name; see ``serving.contestants``."""
    return load(
        os.environ["BENCH_KIND"],
        Path(os.environ["BENCH_MODEL"]),
        Path(os.environ["BENCH_LABELS"]),
        int(os.environ["BENCH_THREADS"]),
        os.environ.get("BENCH_PICTURES", "pillow"),
    )
