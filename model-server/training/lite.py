"""Run a LiteRT file as it is served, time it, and check the contract of its outputs.

The figures of the model cards come through here, so that they are those of the very file that is
shipped and not of the network in training. Imports LiteRT alone, no TensorFlow.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from ai_edge_litert.interpreter import Interpreter

from .evaluate import Found

if TYPE_CHECKING:
    from pathlib import Path


class Lite:
    """A loaded LiteRT model with one input and outputs in the order of the file."""

    def __init__(self, path: Path, threads: int = 1) -> None:
        self._interpreter: Any = Interpreter(model_path=str(path), num_threads=threads)
        self._interpreter.allocate_tensors()
        self._input = self._interpreter.get_input_details()[0]
        self._outputs = self._interpreter.get_output_details()
        signature = self._interpreter.get_signature_list()
        self.names: dict[str, list[str]] = signature.get("serving_default", {})
        self.shape: tuple[int, ...] = tuple(int(size) for size in self._input["shape"])

    def run(self, image: npt.NDArray[np.uint8]) -> list[npt.NDArray[np.float32]]:
        """Return all outputs for one picture (H, W, 3), the batch dimension taken off."""
        self._interpreter.set_tensor(self._input["index"], image[None])
        self._interpreter.invoke()
        return [self._interpreter.get_tensor(o["index"])[0] for o in self._outputs]

    def detect(self, image: npt.NDArray[np.uint8]) -> Found:
        """Return what a detector (boxes, classes, scores, count) finds on a picture."""
        boxes, classes, scores, count = self.run(image)
        real = int(count)
        return Found(boxes[:real], classes[:real].astype(np.int64), scores[:real])

    def milliseconds(self, runs: int = 50) -> float:
        """Return the median time of one inference on a random picture."""
        image = np.random.default_rng(0).integers(0, 256, self.shape[1:], np.uint8)
        times = []
        for _ in range(runs):
            start = time.perf_counter()
            self.run(image)
            times.append(time.perf_counter() - start)
        return float(np.median(times)) * 1000
