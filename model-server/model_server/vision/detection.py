"""From a detector's raw tensors to a list of named boxes.

Pure array work: which of a model's outputs are boxes, classes, scores and count, whatever the
exporter called them; then threshold, order and names. It knows no format, picture or protocol.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from model_server.models.base import Array, TensorSpec
from model_server.models.labels import Labels, detector_name

# What each output is called in the signatures of the TF Object Detection API, of its TFLite
# exporter, of TFLite Model Maker and of our own bundled detector.
_NAMES = {
    "boxes": ("detection_boxes", "boxes", "location", "locations"),
    "classes": ("detection_classes", "classes", "category", "categories"),
    "scores": ("detection_scores", "scores", "score"),
    "count": ("num_detections", "count", "num_boxes", "number_of_detections"),
}
_POSTPROCESS = "TFLite_Detection_PostProcess"
# Order of that operator's outputs: its documented result.
_POSTPROCESS_ORDER = ("boxes", "classes", "scores", "count")


@dataclass(frozen=True)
class DetectionOutputs:
    """Which output is which, by the model's own names; `count` is None when there is none."""

    boxes: str
    classes: str
    scores: str
    count: str | None = None


@dataclass(frozen=True)
class Detection:
    """One object found.

    Attributes:
        label: The class's name.
        class_id: The class's number, as the model gives it.
        score: 0 to 1.
        box: (ymin, xmin, ymax, xmax) as fractions of the picture's height and width, inside it.
    """

    label: str
    class_id: int
    score: float
    box: tuple[float, float, float, float]


def detection_outputs(
    specs: Sequence[TensorSpec], sample: Mapping[str, Array]
) -> DetectionOutputs | None:
    """Finds a detector's outputs, or None if the model is not a detector.

    Args:
        specs: The model's outputs, in its order.
        sample: What one inference gave: the shapes that the specs do not tell.
    """
    by_name = _by_name([spec.name for spec in specs])
    found = by_name or _by_shape(specs, sample)
    if found is None or not _looks_right(found, sample):
        return None
    return found


def _by_name(names: Sequence[str]) -> DetectionOutputs | None:
    roles: dict[str, str] = {}
    for role, known in _NAMES.items():
        for name in names:
            if name.lower() in known:
                roles.setdefault(role, name)
    if not {"boxes", "classes", "scores"} <= roles.keys():
        numbered = sorted(name for name in names if name.partition(":")[0] == _POSTPROCESS)
        roles = dict(zip(_POSTPROCESS_ORDER, numbered, strict=False)) if len(numbered) == 4 else {}
    if not roles:
        return None
    return DetectionOutputs(roles["boxes"], roles["classes"], roles["scores"], roles.get("count"))


def _by_shape(specs: Sequence[TensorSpec], sample: Mapping[str, Array]) -> DetectionOutputs | None:
    """For exporters that lose the names: TF 2's gives `StatefulPartitionedCall:N` in any order.

    Of the two [1, N] outputs the classes are whole numbers and the scores are not.
    """
    if len(specs) not in {3, 4}:
        return None
    shapes = {spec.name: sample[spec.name].shape for spec in specs}
    boxes = [name for name, shape in shapes.items() if len(shape) == 3 and shape[-1] == 4]
    counts = [name for name, shape in shapes.items() if int(np.prod(shape)) == 1]
    if len(boxes) != 1:
        return None
    rows = shapes[boxes[0]][:2]
    pair = [name for name, shape in shapes.items() if shape == rows and name not in counts]
    if len(pair) != 2:
        return None
    whole = [bool(np.all(sample[name] == np.rint(sample[name]))) for name in pair]
    classes, scores = pair if whole[0] and not whole[1] else reversed(pair)
    return DetectionOutputs(boxes[0], classes, scores, counts[0] if counts else None)


def _looks_right(outputs: DetectionOutputs, sample: Mapping[str, Array]) -> bool:
    boxes = sample[outputs.boxes]
    return (
        boxes.ndim == 3
        and boxes.shape[-1] == 4
        and sample[outputs.classes].shape[:2] == boxes.shape[:2]
        and sample[outputs.scores].shape[:2] == boxes.shape[:2]
    )


@dataclass(frozen=True)
class Selection:
    """Which detections a caller wants.

    Attributes:
        score_threshold: Least score, 0 to 1.
        max_boxes: Most detections.
    """

    score_threshold: float
    max_boxes: int


def select_detections(
    tensors: Mapping[str, Array],
    outputs: DetectionOutputs,
    selection: Selection,
    labels: Labels | None,
    first_class: int,
) -> list[Detection]:
    """The detections of the first picture of a batch, best first.

    Args:
        tensors: The model's outputs as real values: boxes [1, N, 4] as fractions, classes and
            scores [1, N] (or [1, N, C] scores per class), count.
        outputs: Which tensor is which.
        selection: What to leave out.
        labels: Names, or None.
        first_class: What the model's format counts classes from.

    Boxes are cut off at the picture's edges; one with no area left, or with a value that is not a
    number, is dropped.
    """
    boxes, classes, scores = (
        np.asarray(tensors[name][0], dtype=np.float32)
        for name in (outputs.boxes, outputs.classes, outputs.scores)
    )
    if outputs.count is not None:
        count = max(0, int(np.ravel(tensors[outputs.count])[0]))
        boxes, classes, scores = boxes[:count], classes[:count], scores[:count]
    clipped = np.clip(boxes, 0.0, 1.0)
    good = np.isfinite(boxes).all(axis=1) & np.isfinite(classes) & np.isfinite(scores)
    good &= scores >= selection.score_threshold
    good &= (clipped[:, 2] > clipped[:, 0]) & (clipped[:, 3] > clipped[:, 1])
    kept = np.flatnonzero(good)
    order = kept[np.argsort(-scores[kept], kind="stable")][: selection.max_boxes]
    return [
        Detection(
            label=detector_name(labels, int(number), first_class),
            class_id=int(number),
            score=min(1.0, score),
            box=(ymin, xmin, ymax, xmax),
        )
        # Whole arrays at once: a number at a time is four times as slow.
        for number, score, (ymin, xmin, ymax, xmax) in zip(
            classes[order].tolist(), scores[order].tolist(), clipped[order].tolist(), strict=True
        )
    ]
