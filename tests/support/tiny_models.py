"""Models small enough to write in a test: real implementations of the server's `Model`.

They compute their answers from the pixels, so that a test can tell whether the picture arrived.
"""

from __future__ import annotations

import threading
import time
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model_server.models.base import ImageInput, Model, ModelInfo, Tensors, TensorSpec
from model_server.models.labels import Labels

UINT8 = np.dtype(np.uint8)
FLOAT32 = np.dtype(np.float32)


class BrightBoxDetector(Model):
    """Finds the box around all pixels brighter than 200; class 1 if it is red, else class 0.

    Its second detection is always the whole picture with a score of 0.25.
    """

    def __init__(self, side: int = 100) -> None:
        self.info = ModelInfo(
            format="tflite",
            inputs=(TensorSpec("image", (1, side, side, 3), UINT8),),
            outputs=(
                TensorSpec("boxes", (1, 2, 4), FLOAT32),
                TensorSpec("classes", (1, 2), FLOAT32),
                TensorSpec("scores", (1, 2), FLOAT32),
                TensorSpec("count", (1,), FLOAT32),
            ),
            image=ImageInput(resize="nearest"),
            labels=Labels({0: "light", 1: "red light"}),
        )
        self.runs = 0
        self.busy = threading.Semaphore(0)
        self.hold = threading.Event()
        self.hold.set()

    def run(self, inputs: Tensors) -> dict[str, NDArray[Any]]:
        """Waits while `hold` is cleared, so that a test can keep it busy."""
        self.runs += 1
        self.busy.release()
        self.hold.wait(30)
        pixels = inputs["image"][0]
        side = pixels.shape[0]
        rows, columns = np.nonzero(pixels.max(axis=2) > 200)
        box = [0.0, 0.0, 1.0, 1.0]
        red = 0.0
        if rows.size:
            box = [rows.min() / side, columns.min() / side]
            box += [(rows.max() + 1) / side, (columns.max() + 1) / side]
            red = float(pixels[rows[0], columns[0], 1] < 100)
        return {
            "boxes": np.array([[box, [0, 0, 1, 1]]], np.float32),
            "classes": np.array([[red, 0]], np.float32),
            "scores": np.array([[0.79, 0.25]], np.float32),
            "count": np.array([2], np.float32),
        }


class MeanColourClassifier(Model):
    """Says which of red, green and blue the picture has most of; logits."""

    def __init__(self, seconds: float = 0.0) -> None:
        self.info = ModelInfo(
            format="tflite",
            inputs=(TensorSpec("image", (-1, 8, 8, 3), FLOAT32),),
            outputs=(TensorSpec("logits", (-1, 3), FLOAT32),),
            image=ImageInput(scaling="unit"),
            labels=Labels({0: "red", 1: "green", 2: "blue"}),
        )
        self.batches: list[int] = []
        self._seconds = seconds

    def run(self, inputs: Tensors) -> dict[str, NDArray[Any]]:
        """Takes any batch size and remembers it."""
        image = inputs["image"]
        self.batches.append(len(image))
        if self._seconds:
            time.sleep(self._seconds)
        return {"logits": (image.mean(axis=(1, 2)) * 10 + 1).astype(np.float32)}
