"""Turns a classifier's raw scores into the most probable classes.

Works on arrays only, independent of model formats, pictures and protocols.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from model_server.models.base import Array, TensorSpec

# The highest value a probability can reach through rounding.
_ONE = 1.001


@dataclass(frozen=True)
class Classification:
    """A class and its probability (0 to 1)."""

    label: str
    class_id: int
    probability: float


ScoreKind = Literal["probabilities", "log_probabilities", "logits"]


@dataclass(frozen=True)
class ScoreOutput:
    """A classifier's output.

    Attributes:
        name: The output's name.
        kind: What the values represent.
        binary: Whether it is a single value, for the second of two classes.
    """

    name: str
    kind: ScoreKind
    binary: bool = False


def classification_output(specs: Sequence[TensorSpec], *, binary: bool = False) -> str | None:
    """Returns the name of a classifier's only output, with one score per class for each picture.

    Args:
        specs: The model's outputs.
        binary: Whether a single value is enough because the model has two classes.

    Returns:
        The output's name, or None if the model is not a classifier.
    """
    if len(specs) != 1 or not specs[0].shape or specs[0].dtype.kind not in "fiu":
        return None
    flat = [size for size in specs[0].shape[1:] if size != 1]
    if binary:
        return None if flat else specs[0].name
    return specs[0].name if len(flat) == 1 and flat[0] > 1 else None


def are_probabilities(scores: Array, *, quantized: bool) -> bool:
    """Tells whether scores [1, classes] come from a softmax: from 0 to 1, with a sum of 1.

    A quantized softmax has steps of 1/256, so a thousand values add up to 1 only approximately.
    """
    values = np.asarray(scores, dtype=np.float64)
    tolerance = 0.5 if quantized else 0.01
    return bool(values.min() >= 0.0 and values.max() <= 1.001 and abs(values.sum() - 1) < tolerance)


def score_kind(activation: str, samples: Iterable[Array]) -> ScoreKind:
    """Determines what a classifier's values represent, once for all pictures.

    Args:
        activation: The model's last operator; empty if the graph does not reveal it.
        samples: The output for several pictures, as real values; consumed only if needed. Exporters
            may split a softmax into basic operators, so values that all look like probabilities
            are treated as probabilities.
    """
    if activation == "log_softmax":
        return "log_probabilities"
    if activation in {"softmax", "sigmoid"}:
        return "probabilities"
    inside = all(values.min() >= 0.0 and values.max() <= _ONE for values in samples)
    return "probabilities" if inside else "logits"


def probabilities(scores: Array, output: ScoreOutput) -> Array:
    """Converts the scores of one picture to probabilities, float32 [classes].

    Logits go through a softmax, or through a sigmoid if one value stands for two classes. NaN
    counts as improbable. Values that cannot be probabilities are treated as logits.

    Args:
        scores: Real values [1, classes], possibly with more dimensions of size 1. [1] or [1, 1]
            for a binary classifier.
        output: Describes the values.
    """
    values = np.nan_to_num(np.asarray(scores[0], dtype=np.float32).ravel(), nan=-np.inf)
    kind = output.kind
    if kind == "log_probabilities":
        values, kind = np.exp(np.minimum(values, 0.0)), "probabilities"
    if kind == "probabilities" and not (values.min() >= 0.0 and values.max() <= _ONE):
        kind = "logits"
    if output.binary:
        second = values if kind == "probabilities" else _sigmoid(values)
        return np.concatenate([1.0 - second, second]).astype(np.float32)
    return values if kind == "probabilities" else _softmax(values)


def _sigmoid(values: Array) -> Array:
    bounded: Array = np.clip(values, -80.0, 80.0)
    return np.asarray(1.0 / (1.0 + np.exp(-bounded)))


def _softmax(values: Array) -> Array:
    highest = values.max()
    if not np.isfinite(highest):
        return np.zeros_like(values)
    shifted = np.exp(values - highest)
    softmax: Array = shifted / shifted.sum()
    return softmax


def top_classes(values: Array, names: Sequence[str], count: int) -> list[Classification]:
    """Returns the `count` most probable classes, best first; ties go to the lower class number."""
    order = np.argsort(-values, kind="stable")[:count]
    return [
        Classification(names[index], int(index), min(1.0, float(values[index]))) for index in order
    ]
