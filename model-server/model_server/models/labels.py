"""Class names, and the rules that match them to a model's classes.

This is the only place that decides whether class 0 is the first line or the line after a background
entry, based on the labels and on where the model's format starts counting. Independent of label
files and model outputs.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from model_server.errors import InvalidModel

_BACKGROUND = {"???", "background", "__background__", "_background_"}


@dataclass(frozen=True)
class Labels:
    """Class names by number, numbered as in the file.

    Attributes:
        names: Number to name. Lists and lines count from 0; other files contain their own numbers.
        numbered: True if the file itself states the numbers (pbtxt, `1: person`).
    """

    names: Mapping[int, str]
    numbered: bool = False

    def __len__(self) -> int:
        return len(self.names)

    @property
    def has_background(self) -> bool:
        """Whether number 0 is a placeholder, as in TensorFlow's COCO label map."""
        return self.names.get(0, "").strip().lower() in _BACKGROUND

    @property
    def counts_from_one(self) -> bool:
        """Whether number 1 is the first class."""
        return self.has_background or (self.numbered and 0 not in self.names)


def detector_name(labels: Labels | None, class_id: int, first_class: int) -> str:
    """Returns the name of a detector's class.

    Args:
        labels: The label map, or None.
        class_id: The number in the model's `classes` output.
        first_class: Number of the first class in the model's format: 0 in TFLite detectors (the
            exporter removes the background), 1 in SavedModels of the TF Object Detection API.

    Returns:
        The name; `class_N` if the map has none for this class.

    If the file has a background line, or its own numbers start from 1, the map counts classes
    from 1, and the first class of a TFLite detector is number 1. In the COCO map, whose first line
    is `???`, class k is therefore on line k+2.
    """
    if labels is None:
        return f"class_{class_id}"
    name = labels.names.get(class_id + int(labels.counts_from_one) - first_class)
    return name or f"class_{class_id}"


def classifier_names(candidates: Sequence[Labels], classes: int) -> tuple[str, ...]:
    """Returns the names of a classifier's `classes` outputs.

    Args:
        candidates: Label maps; the first one that fits is used. If empty, names are `class_N`.
        classes: Size of the model's output.

    Adds a missing background line or removes a superfluous one: ImageNet models have 1000 or 1001
    outputs, and label files 1000 or 1001 lines.

    Raises:
        InvalidModel: if no map has as many names as the model has classes.
    """
    if not candidates:
        return tuple(f"class_{index}" for index in range(classes))
    for labels in candidates:
        names = _ordered(labels, classes)
        if len(names) == classes:
            return tuple(names)
    counts = " or ".join(str(len(labels)) for labels in candidates)
    raise InvalidModel(
        f"labels: the label file has {counts} names but the model has {classes} classes; give "
        "the label file that belongs to this model with --labels"
    )


def fits(labels: Labels, classes: int) -> bool:
    """Whether a label map has a name for each of `classes` classes, ignoring the background."""
    return len(labels) >= classes and len(_ordered(labels, classes)) == classes


def _ordered(labels: Labels, classes: int) -> list[str]:
    top = max(labels.names, default=-1)
    # The numbers are untrusted: never build a list that is too long to fit.
    if top > classes + 1:
        return _without_blanks(labels) if not labels.numbered else []
    ordered = [labels.names.get(index) or f"class_{index}" for index in range(top + 1)]
    if labels.numbered and 0 not in labels.names:
        ordered = ordered[1:]
    if len(ordered) == classes + 1 and labels.has_background:
        return ordered[1:]
    if len(ordered) == classes - 1 and not labels.has_background:
        return _without_blanks(labels, classes) or ["background", *ordered]
    return ordered if len(ordered) == classes else _without_blanks(labels)


def _without_blanks(labels: Labels, wanted: int = 0) -> list[str]:
    """Returns the names without blank lines; empty if `wanted` is set and their number differs."""
    names = [name for _, name in sorted(labels.names.items()) if name]
    return names if wanted in {0, len(names)} else []
