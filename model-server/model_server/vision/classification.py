"""From a classifier's raw scores to the most probable classes.

Pure array work; knows no format, picture or protocol.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from model_server.models.base import Array, TensorSpec


@dataclass(frozen=True)
class Classification:
    """One class and how probable it is (0 to 1)."""

    label: str
    class_id: int
    probability: float


def classification_output(specs: Sequence[TensorSpec], sample: Array | None = None) -> str | None:
    """The name of a classifier's output: the only one, one score per class for each picture.

    Returns:
        The output's name, or None if the model is not a classifier.
    """
    if len(specs) != 1:
        return None
    shape = specs[0].shape if sample is None else sample.shape
    flat = [size for size in shape[1:] if size != 1]
    return specs[0].name if len(flat) == 1 and flat[0] > 1 else None


def probabilities(scores: Array) -> Array:
    """Scores of one picture as probabilities, float32 [classes].

    Args:
        scores: [1, classes], or with more dimensions of size 1; real values.

    Scores that all lie between 0 and 1 (softmax, sigmoid, quantized or not) stay as they are; any
    others are logits, and get a softmax. A value that is not a number counts as improbable.
    """
    values = np.nan_to_num(np.asarray(scores[0], dtype=np.float32).ravel(), nan=-np.inf)
    if values.min() >= 0.0 and values.max() <= 1.001:
        return values
    highest = values.max()
    if not np.isfinite(highest):
        return np.zeros_like(values)
    shifted = np.exp(values - highest)
    softmax: Array = shifted / shifted.sum()
    return softmax


def top_classes(values: Array, names: Sequence[str], count: int) -> list[Classification]:
    """The `count` most probable classes, best first; of equals the lower number first."""
    order = np.argsort(-values, kind="stable")[:count]
    return [
        Classification(names[index], int(index), min(1.0, float(values[index]))) for index in order
    ]
