"""Decodes the raw outputs of YOLO models: one tensor with a row for each cell of the picture.

Supports the layouts of the YOLOv5 exporter ([N, 5 + classes]: centre, size, objectness, classes;
three anchors per cell) and of YOLOv8 and later ([4 + classes, N]: one anchor per cell, no
objectness; or [300, 6] with suppression in the graph: corners, score, class). Strides are 8, 16
and 32. Works on arrays only.
"""

from collections.abc import Sequence
from typing import Literal

import numpy as np

from model_server.models.base import Array

YoloForm = Literal["", "yolov5", "yolov8", "yolov8_rows", "end2end"]
_STRIDES = (8, 16, 32)
# Maximum overlap of boxes of one class (intersection over union); both projects' defaults.
_OVERLAP = {"yolov5": 0.45, "yolov8": 0.7, "yolov8_rows": 0.7}
# Maximum number of rows that enter suppression, best first.
_MOST_ROWS = 3000
_LEAST_SCORE = 0.01


def yolo_form(shape: Sequence[int], frame: tuple[int, int] | None) -> YoloForm:
    """Returns the layout of a model's only output; empty if it is not a YOLO layout.

    Args:
        shape: Shape of the output for one picture, [1, A, B].
        frame: Height and width of the input; None if it accepts any size, which rules out YOLO.
    """
    if len(shape) != 3 or frame is None:
        return ""
    cells = sum((frame[0] // stride) * (frame[1] // stride) for stride in _STRIDES)
    rows, columns = shape[1], shape[2]
    if rows == 3 * cells and columns > 5:
        return "yolov5"
    if rows == cells and columns > 4:
        return "yolov8_rows"
    if columns == cells and rows > 4:
        return "yolov8"
    return "end2end" if (rows, columns) == (300, 6) else ""


def decode(whole: Array, form: YoloForm, least_score: float) -> tuple[Array, Array, Array]:
    """Returns boxes [N, 4], classes [N] and scores [N] of one picture after suppressing overlaps.

    Args:
        whole: The output for one picture, [A, B].
        form: The output's layout. Boxes are not converted: centre and size, or corners for
            `end2end`.
        least_score: Rows with a lower score are dropped before suppression.
    """
    if form == "end2end":
        return whole[:, :4], whole[:, 5], whole[:, 4]
    rows = whole.T if form == "yolov8" else whole
    boxes = rows[:, :4]
    by_class = rows[:, 4:] if form != "yolov5" else rows[:, 5:] * rows[:, 4:5]
    classes = np.nan_to_num(by_class, nan=0.0).argmax(axis=1)
    scores = np.take_along_axis(by_class, classes[:, np.newaxis], axis=1)[:, 0]
    kept = np.flatnonzero(scores >= max(least_score, _LEAST_SCORE))
    kept = kept[np.argsort(-scores[kept], kind="stable")][:_MOST_ROWS]
    kept = kept[_apart(boxes[kept], classes[kept], _OVERLAP[form])]
    return boxes[kept], classes[kept].astype(np.float32), scores[kept]


def all_boxes(whole: Array, form: YoloForm) -> Array:
    """Returns the boxes of all cells, [N, 4]."""
    return (whole.T if form == "yolov8" else whole)[:, :4]


def _apart(boxes: Array, classes: Array, overlap: float) -> Array:
    """Returns the indices of boxes that no better box of the same class overlaps too much.

    Expects boxes sorted best first, and keeps their order.
    """
    half = boxes[:, 2:] / 2
    corners = np.concatenate([boxes[:, :2] - half, boxes[:, :2] + half], axis=1)
    areas = np.maximum(corners[:, 2:] - corners[:, :2], 0).prod(axis=1)
    left = np.arange(len(boxes))
    kept: list[int] = []
    while left.size:
        best, rest = left[0], left[1:]
        kept.append(int(best))
        low = np.maximum(corners[best, :2], corners[rest, :2])
        high = np.minimum(corners[best, 2:], corners[rest, 2:])
        common = np.maximum(high - low, 0).prod(axis=1)
        union = areas[best] + areas[rest] - common
        too_near = common > overlap * union
        left = rest[~(too_near & (classes[rest] == classes[best]))]
    return np.array(kept, int)
