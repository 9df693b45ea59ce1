"""The engine benchmark's order of work and its rows."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from bench import installs, paths
from bench.assets import files, inputs
from bench.processes import Running
from bench.schedule import interleaved
from bench.serving.figures import latencies
from bench.turns import Taker, Turn

TENSORFLOW = "TensorFlow SavedModel"
OPTIMIZED = "LiteRT, of model-server optimize"
# Seconds of a turn besides the measurement, by environment: start, and the answers compared.
_AROUND = {"tensorflow": 35.0}
_AROUND_OTHERS = 10.0


@dataclass(frozen=True)
class Entry:
    """One engine on one form of one model.

    Attributes:
        name: As the table shows it.
        environment: Where the engine is installed.
        engine: One of ``worker.ENGINES``.
        model: ``resnet50`` or ``detector``.
        form: Which file of ``files.forms``.
    """

    name: str
    environment: str
    engine: str
    model: str
    form: str


ENTRIES = (
    Entry(TENSORFLOW, "tensorflow", "tensorflow", "resnet50", "savedmodel"),
    Entry("Keras predict", "tensorflow", "keras", "resnet50", "keras"),
    Entry("LiteRT fp32", "engine", "litert", "resnet50", "fp32"),
    Entry("LiteRT int8", "engine", "litert", "resnet50", "int8"),
    Entry(OPTIMIZED, "engine", "litert", "resnet50", "optimized"),
    Entry("ONNX Runtime", "onnxruntime", "onnxruntime", "resnet50", "onnx"),
    Entry("OpenVINO on SavedModel", "openvino", "openvino", "resnet50", "savedmodel"),
    Entry("OpenVINO on tflite fp32", "openvino", "openvino", "resnet50", "fp32"),
    Entry("OpenVINO on tflite int8", "openvino", "openvino", "resnet50", "int8"),
    Entry(TENSORFLOW, "tensorflow", "tensorflow", "detector", "savedmodel"),
    Entry("LiteRT int8", "engine", "litert", "detector", "int8"),
    Entry("OpenVINO on tflite int8", "openvino", "openvino", "detector", "int8"),
)
QUICK = tuple(
    entry
    for entry in ENTRIES
    if entry.model == "resnet50" and entry.name in {TENSORFLOW, OPTIMIZED}
)


class EngineBench:
    """Runs entries in turn and writes rows.

    Args:
        entries: What to run.
        rounds: How often each.
        seconds: Length of each measurement.
        taker: Takes the turns.
    """

    def __init__(
        self,
        entries: Sequence[Entry],
        rounds: int,
        seconds: float,
        taker: Taker,
    ) -> None:
        self._entries = entries
        self._rounds = rounds
        self._seconds = seconds
        self._taker = taker

    def expect_seconds(self) -> float:
        """How long the plan should take."""
        return self._rounds * sum(self._guess(entry) for entry in self._entries)

    def _guess(self, entry: Entry) -> float:
        return _AROUND.get(entry.environment, _AROUND_OTHERS) + self._seconds

    def run(self) -> None:
        """Every entry once a round, TensorFlow's outputs kept to compare with."""
        for number, entry in interleaved(self._entries, self._rounds):
            common = {
                "bench": "engine",
                "contestant": entry.name,
                "model": entry.model,
                "form": entry.form,
                "round": number,
            }
            text = f"round {number + 1}/{self._rounds}: engine: {entry.model}: {entry.name}"
            turn = Turn(text, self._guess(entry), common)
            self._taker.take(turn, partial(self._one, turn, entry))

    def _one(self, turn: Turn, entry: Entry) -> None:
        path = files.forms(entry.model)[entry.form]()
        self._taker.add(turn, kind="engine", **self._measure(entry, path))

    def _measure(self, entry: Entry, path: Path) -> dict[str, object]:
        pictures = inputs.prepare(entry.model)
        saved = paths.cache("outputs", f"{entry.model}-{entry.name.replace(' ', '-')}.npy")
        saved.unlink(missing_ok=True)
        command = [
            *(str(installs.python(entry.environment)), "-m", "bench.engines.worker"),
            *(entry.engine, str(path), str(pictures), str(self._seconds), str(saved)),
        ]
        variables = {"PYTHONPATH": str(paths.HERE.parent), "TF_CPP_MIN_LOG_LEVEL": "3"}
        with Running(command, paths.cache("logs", "engine.log"), variables) as running:
            start = _await_ready(running)
            deadline = time.monotonic() + self._seconds + 300
            while running.alive() and time.monotonic() < deadline:
                time.sleep(0.02)
            peak = running.peak_bytes
            last = running.tail_line()
        if not last.startswith("{"):
            raise RuntimeError(running.tail())
        took = json.loads(last)["took"]
        return {
            "images_per_second": round(len(took) / sum(took), 2),
            "start_seconds": round(start, 3),
            "memory_mb": round(peak / 1e6, 1),
            **latencies([value * 1000 for value in took]),
            **self._agreement(entry, saved),
        }

    def _agreement(self, entry: Entry, saved: Path) -> dict[str, object]:
        """How the outputs compare with TensorFlow's on the same pictures, photographs first."""
        reference = paths.cache("outputs", f"{entry.model}-reference.npy")
        if not saved.exists():
            return {}
        found = np.load(saved)
        if entry.name == TENSORFLOW:
            np.save(reference, found)
        if not reference.exists():
            return {}
        return agreement(found, np.load(reference), inputs.photographs())


def agreement(
    found: np.ndarray[tuple[int, int], np.dtype[np.float32]],
    reference: np.ndarray[tuple[int, int], np.dtype[np.float32]],
    photographs: int,
) -> dict[str, object]:
    """Same first class and largest difference, for the photographs and for all pictures.

    Args:
        found: [pictures][classes] probabilities.
        reference: The same from TensorFlow.
        photographs: How many of the first pictures are whole photographs.
    """
    same = found.argmax(axis=1) == reference.argmax(axis=1)
    return {
        "photographs": photographs,
        "same_top1_photographs": int(same[:photographs].sum()),
        "pictures": len(same),
        "same_top1_pictures": int(same.sum()),
        "largest_difference": round(float(np.abs(found - reference).max()), 5),
    }


def _await_ready(running: Running) -> float:
    deadline = time.monotonic() + 180
    while time.monotonic() < deadline:
        if running.has_line("ready"):
            return time.monotonic() - running.started
        if not running.alive():
            break
        time.sleep(0.002)
    raise RuntimeError(f"no first answer: {running.tail()}")
