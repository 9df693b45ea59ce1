"""Chooses a model's task at load time from its outputs, its labels and the settings."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from model_server.errors import InvalidModel
from model_server.models.base import Array, ModelInfo, TensorSpec
from model_server.models.labels import Labels, classifier_names, fits
from model_server.vision.classification import (
    ScoreOutput,
    are_probabilities,
    classification_output,
    score_kind,
)
from model_server.vision.detection import DetectionOutputs
from model_server.vision.detector_outputs import BoxSettings, find_detector

TaskName = Literal["detection", "classification", "tensor"]
Outputs = Mapping[str, Array]

_NO_LABELS = (
    "no labels were found, so classes are called class_N: put labels.txt beside the model or set "
    "--labels or MODEL_SERVER_LABELS"
)
_ONE_PROBABILITY = (
    "its only output is one probability: with a label file of two names it is served as a "
    "classifier"
)


@dataclass(frozen=True)
class Loaded:
    """A loaded model that takes pictures.

    Attributes:
        info: The model's metadata.
        outputs: The model's outputs, with the shapes from the warm-up.
        labels: The label maps found.
        frame: Height and width of the picture input; None if it accepts any size.
        first: Outputs for the first sample picture, as real values.
        samples: Returns the outputs for all sample pictures, including the first.
    """

    info: ModelInfo
    outputs: Sequence[TensorSpec]
    labels: Sequence[Labels]
    frame: tuple[int, int] | None
    first: Outputs
    samples: Callable[[], Iterable[Outputs]]


@dataclass(frozen=True)
class Task:
    """A model's task.

    Attributes:
        name: detection, classification or tensor.
        detection: Which output is which, for a detector.
        scores: The output with the scores, for a classifier.
        class_names: Names of a classifier's classes, in order.
        warnings: Assumptions and missing information, each with a remedy.
    """

    name: TaskName = "tensor"
    detection: DetectionOutputs | None = None
    scores: ScoreOutput | None = None
    class_names: tuple[str, ...] = ()
    warnings: tuple[str, ...] = field(default=())


def choose_task(model: Loaded, wanted: str, boxes: BoxSettings) -> Task:
    """Chooses the model's task; `wanted` forces one, and an empty string detects it.

    Raises:
        InvalidModel: if the outputs do not fit the wanted task, or need a setting.
    """
    if wanted in {"", "detection"}:
        found = find_detector(model.info, model.samples(), model.frame, boxes)
        if found is not None:
            warnings = (*found.assumed, *_unnamed(model.labels))
            return Task("detection", found.outputs, warnings=warnings)
    if wanted in {"", "classification"}:
        scores = _score_output(model, wanted)
        if scores is not None:
            classes = 2 if scores.binary else int(np.prod(model.first[scores.name].shape[1:]))
            names = classifier_names(model.labels, classes)
            warnings = _unnamed(model.labels)
            return Task("classification", None, scores, names, warnings)
    if wanted in {"detection", "classification"}:
        raise InvalidModel(
            f"its outputs ({', '.join(spec.name for spec in model.outputs)}) are not those of a "
            f"{wanted} model"
        )
    return Task(warnings=_one_probability(model))


def _score_output(model: Loaded, wanted: str) -> ScoreOutput | None:
    """Finds a classifier's output, or returns None.

    A single value counts if there are two labels or if classification is wanted explicitly.
    """
    name = classification_output(model.outputs)
    binary = name is None
    if name is None:
        two_labels = any(fits(labels, 2) for labels in model.labels)
        if two_labels or wanted == "classification":
            name = classification_output(model.outputs, binary=True)
    if name is None:
        return None
    activation = model.info.activations.get(name, "")
    if not (wanted or model.labels or activation or _are_scores(model, name)):
        return None
    samples = (outputs[name] for outputs in model.samples())
    return ScoreOutput(name, score_kind(activation, samples), binary)


def _are_scores(model: Loaded, name: str) -> bool:
    """Tells whether an unlabeled vector holds class scores; it could also be an embedding."""
    quantized = next(spec.quantized for spec in model.outputs if spec.name == name)
    return are_probabilities(model.first[name], quantized=quantized)


def _unnamed(labels: Sequence[Labels]) -> tuple[str, ...]:
    if labels:
        return ()
    return (_NO_LABELS,)


def _one_probability(model: Loaded) -> tuple[str, ...]:
    one = classification_output(model.outputs, binary=True)
    if one is None or model.info.activations.get(one) != "sigmoid":
        return ()
    return (_ONE_PROBABILITY,)
