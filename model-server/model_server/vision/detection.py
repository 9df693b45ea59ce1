"""Turns a detector's raw tensors into a list of named boxes.

Works on arrays only: filters by score, sorts, adds names, and converts boxes of any form to
fractions of the picture. `detector_outputs` determines which tensor is which. Independent of model
formats and protocols.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from model_server.errors import InferenceFailed
from model_server.models.base import Array
from model_server.models.labels import Labels, detector_name
from model_server.vision.yolo import YoloForm, decode

BoxFormat = Literal["yxyx", "xyxy", "cxcywh"]
BoxUnits = Literal["fraction", "pixels"]
# Boxes may extend slightly beyond the picture; one farther out is in a different unit.
_FARTHEST = 2.0
_HIGHEST_SCORE = 1.05


@dataclass(frozen=True)
class DetectionOutputs:
    """The role of each output, by the model's own names, and the format of its boxes.

    Attributes:
        boxes: [1, N, 4]; with `raw`, the tensor that holds everything.
        classes: [1, N]; empty with `raw`.
        scores: [1, N]; empty with `raw`.
        count: The output that says how many of the N rows are valid; None if all are.
        box_format: Order of a box's four numbers.
        units: Fractions of the picture, or pixels.
        frame: Height and width that pixel coordinates refer to; None for the picture's own size.
        raw: Layout of a YOLO model's undecoded output; empty for other models.
        first_class: Number of the first class.
    """

    boxes: str
    classes: str = ""
    scores: str = ""
    count: str | None = None
    box_format: BoxFormat = "yxyx"
    units: BoxUnits = "fraction"
    frame: tuple[int, int] | None = None
    raw: YoloForm = ""
    first_class: int = 0


@dataclass(frozen=True)
class Detection:
    """A detected object.

    Attributes:
        label: The class's name.
        class_id: The class's number as returned by the model.
        score: 0 to 1.
        box: (ymin, xmin, ymax, xmax) as fractions of the picture's height and width, clipped to it.
    """

    label: str
    class_id: int
    score: float
    box: tuple[float, float, float, float]


@dataclass(frozen=True)
class Selection:
    """Which detections a caller wants.

    Attributes:
        score_threshold: Minimum score, 0 to 1.
        max_boxes: Maximum number of detections.
    """

    score_threshold: float
    max_boxes: int


@dataclass(frozen=True)
class Rows:
    """Unfiltered detections of one picture: boxes [N, 4], classes [N], scores [N]."""

    boxes: Array
    classes: Array
    scores: Array


def rows_of(tensors: Mapping[str, Array], outputs: DetectionOutputs, least_score: float) -> Rows:
    """Returns the rows of the first picture, with boxes in the model's own format.

    Args:
        tensors: The model's outputs as real values.
        outputs: Which tensor is which.
        least_score: Minimum score of the rows that enter a YOLO model's suppression; it has
            thousands of rows.
    """
    if outputs.raw:
        whole = np.asarray(tensors[outputs.boxes][0], np.float32)
        return Rows(*decode(whole, outputs.raw, least_score))
    boxes, classes, scores = (
        np.asarray(tensors[name][0], dtype=np.float32)
        for name in (outputs.boxes, outputs.classes, outputs.scores)
    )
    if outputs.count is not None:
        count = max(0, int(np.ravel(tensors[outputs.count])[0]))
        boxes, classes, scores = boxes[:count], classes[:count], scores[:count]
    return Rows(boxes, classes, scores)


def fractions(
    boxes: Array, outputs: DetectionOutputs, picture: tuple[int, int] | None = None
) -> Array:
    """Converts boxes [N, 4] of any form to (ymin, xmin, ymax, xmax) in fractions of the picture.

    Args:
        boxes: Boxes in the model's own format.
        outputs: Describes that format.
        picture: Height and width of the picture, for boxes in its own pixels.
    """
    if outputs.box_format == "yxyx":
        corners = boxes
    elif outputs.box_format == "xyxy":
        corners = boxes[:, [1, 0, 3, 2]]
    else:
        centre, half = boxes[:, [1, 0]], boxes[:, [3, 2]] / 2
        corners = np.concatenate([centre - half, centre + half], axis=1)
    if outputs.units == "pixels":
        height, width = outputs.frame or picture or (1, 1)
        corners = corners / np.array([height, width, height, width], np.float32)
    made: Array = corners
    return made


def select_detections(
    tensors: Mapping[str, Array],
    outputs: DetectionOutputs,
    selection: Selection,
    labels: Labels | None,
    picture: tuple[int, int] | None = None,
) -> list[Detection]:
    """Returns the detections of the first picture of a batch, best first.

    Boxes are clipped to the picture. A box with no area left or with a value that is not finite is
    dropped.

    Args:
        tensors: The model's outputs as real values: boxes [1, N, 4], classes and scores [1, N],
            count.
        outputs: Which tensor is which, and the format of the boxes.
        selection: Which detections to keep.
        labels: Class names, or None.
        picture: Height and width of the picture, for boxes in its own pixels.

    Raises:
        InferenceFailed: if a box lies far outside the picture or a score is out of range, which
            means that the outputs were misidentified.
    """
    rows = rows_of(tensors, outputs, selection.score_threshold)
    boxes = fractions(rows.boxes, outputs, picture)
    good = np.isfinite(boxes).all(axis=1) & np.isfinite(rows.classes) & np.isfinite(rows.scores)
    good &= rows.scores >= selection.score_threshold
    _refuse_impossible(boxes[good], rows.scores[good], outputs)
    clipped = np.clip(boxes, 0.0, 1.0)
    good &= (clipped[:, 2] > clipped[:, 0]) & (clipped[:, 3] > clipped[:, 1])
    kept = np.flatnonzero(good)
    order = kept[np.argsort(-rows.scores[kept], kind="stable")][: selection.max_boxes]
    return [
        Detection(
            label=detector_name(labels, int(number), outputs.first_class),
            class_id=int(number),
            score=min(1.0, score),
            box=(ymin, xmin, ymax, xmax),
        )
        # Convert whole arrays at once: converting number by number is four times slower.
        for number, score, (ymin, xmin, ymax, xmax) in zip(
            rows.classes[order].tolist(),
            rows.scores[order].tolist(),
            clipped[order].tolist(),
            strict=True,
        )
    ]


def _refuse_impossible(boxes: Array, scores: Array, outputs: DetectionOutputs) -> None:
    if scores.size and float(scores.max()) > _HIGHEST_SCORE:
        raise InferenceFailed(
            f"the output {outputs.scores!r} has the score {float(scores.max()):g}, and scores go "
            "up to 1: say which outputs are which with --detector-outputs"
        )
    if boxes.size and not (boxes.min() >= 1 - _FARTHEST and boxes.max() <= _FARTHEST):
        farthest = float(boxes.flat[int(np.abs(boxes).argmax())])
        raise InferenceFailed(
            f"the output {outputs.boxes!r} has a box at {farthest:g} times the picture's size, "
            f"taken as {outputs.box_format} in {outputs.units}: say how boxes are written with "
            "--box-units fraction or pixels, and --box-format yxyx, xyxy or cxcywh"
        )


def in_pixels_of(outputs: DetectionOutputs, frame: tuple[int, int] | None) -> DetectionOutputs:
    """Returns the same outputs with boxes in pixels of a frame (height, width)."""
    return replace(outputs, units="pixels", frame=frame)
