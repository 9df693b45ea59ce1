"""Class names, and finding the right one for a class.

Whether class 0 is the first line or the line after a background entry is decided here, once, from
the labels and what the model's format counts from. It knows no files and no models' outputs.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from model_server.errors import InvalidModel

_BACKGROUND = {"???", "background", "__background__", "_background_"}


@dataclass(frozen=True)
class Labels:
    """Names by number, as the file counts them.

    Attributes:
        names: Number to name. Lists and lines count from 0; other files carry their own numbers.
        numbered: True when the file itself states the numbers (pbtxt, `1: person`).
    """

    names: Mapping[int, str]
    numbered: bool = False

    def __len__(self) -> int:
        return len(self.names)

    @property
    def has_background(self) -> bool:
        """Whether number 0 is a placeholder, as in the COCO map that TensorFlow publishes."""
        return self.names.get(0, "").strip().lower() in _BACKGROUND

    @property
    def counts_from_one(self) -> bool:
        """Whether number 1 is the first class."""
        return self.has_background or (self.numbered and 0 not in self.names)


def detector_name(labels: Labels | None, class_id: int, first_class: int) -> str:
    """The name of a detector's class.

    Args:
        labels: The label map, or None.
        class_id: The number in the model's `classes` output.
        first_class: What the model's format counts classes from: 0 in TFLite detectors
            (the exporter takes the background off), 1 in SavedModels of the TF Object Detection
            API.

    Returns:
        The name; `class_N` when the map has none for it.

    With a background line, or numbers from 1 in the file itself, class ids count from 1 in the map:
    the first class of a TFLite detector is then number 1. This is the rule of the COCO map, whose
    first line is `???`: class k is line k+2.
    """
    if labels is None:
        return f"class_{class_id}"
    name = labels.names.get(class_id + int(labels.counts_from_one) - first_class)
    return name or f"class_{class_id}"


def classifier_names(candidates: Sequence[Labels], classes: int) -> tuple[str, ...]:
    """The name of each of a classifier's `classes` outputs.

    Args:
        candidates: Label maps; the first one that fits is taken. None at all gives `class_N`.
        classes: Size of the model's output.

    A background line too many or too few (ImageNet models have 1000 or 1001 outputs, label files
    1000 or 1001 lines) is taken off or put in.

    Raises:
        InvalidModel: if none has as many names as the model has classes.
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
    """Whether a label map has a name for each of so many classes, a background aside."""
    return len(labels) >= classes and len(_ordered(labels, classes)) == classes


def _ordered(labels: Labels, classes: int) -> list[str]:
    top = max(labels.names, default=-1)
    # A stranger's numbers may be anything: no list is made that cannot fit.
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
    """Lines without those left blank between them; empty if `wanted` is another number."""
    names = [name for _, name in sorted(labels.names.items()) if name]
    return names if wanted in {0, len(names)} else []
