"""Measure: average precision of detections, top-1 accuracy. NumPy alone, no model is run here.

The metric is PASCAL VOC's as of 2010 (area under the whole precision-recall curve, each truth
found at most once) at an overlap of 0.5; Everingham et al., "The PASCAL Visual Object Classes
Challenge", 2015.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from collections.abc import Sequence

Floats = npt.NDArray[np.floating]
Ints = npt.NDArray[np.integer]


@dataclass(frozen=True)
class Truth:
    """What is on a picture: boxes (N, 4) ymin, xmin, ymax, xmax and classes (N,)."""

    boxes: Floats
    classes: Ints


@dataclass(frozen=True)
class Found:
    """What a model says is on it: as `Truth`, with scores (N,) from 0 to 1."""

    boxes: Floats
    classes: Ints
    scores: Floats

    def above(self, threshold: float) -> Found:
        """Return the detections whose score is at least the threshold."""
        kept = self.scores >= threshold
        return Found(self.boxes[kept], self.classes[kept], self.scores[kept])


@dataclass(frozen=True)
class Report:
    """Figures of a whole set.

    Attributes:
        mean_average_precision: Mean over the classes that occur in the truth.
        average_precision: Of each class by its index; NaN where the class does not occur.
        precision: Share of right answers among detections that score at least 0.5.
        recall: Share of true figures found with a score of at least 0.5.
    """

    mean_average_precision: float
    average_precision: tuple[float, ...]
    precision: float
    recall: float


def overlaps(first: Floats, second: Floats) -> npt.NDArray[np.float64]:
    """Return the intersection over union of every box of (N, 4) with every one of (M, 4)."""
    low = np.maximum(first[:, None, :2], second[None, :, :2])
    high = np.minimum(first[:, None, 2:], second[None, :, 2:])
    shared = np.prod(np.clip(high - low, 0, None), axis=-1)
    areas = [np.prod(np.clip(b[:, 2:] - b[:, :2], 0, None), axis=-1) for b in (first, second)]
    union = areas[0][:, None] + areas[1][None] - shared
    return np.asarray(shared / np.maximum(union, 1e-12), np.float64)


def hits(found: Found, truth: Truth, overlap: float = 0.5) -> npt.NDArray[np.bool_]:
    """Tell of each detection whether it is right: best scores first take the best-fitting truth.

    A detection is right when its best-fitting truth of the same class overlaps it enough and no
    better-scored detection took that truth before.
    """
    right = np.zeros(len(found.scores), np.bool_)
    taken = np.zeros(len(truth.classes), np.bool_)
    fit = overlaps(found.boxes, truth.boxes)
    for index in np.argsort(-found.scores, kind="stable"):
        same = np.where(truth.classes == found.classes[index], fit[index], 0.0)
        if same.size and same.max() >= overlap and not taken[same.argmax()]:
            right[index] = taken[same.argmax()] = True
    return right


def average_precision(scores: Floats, right: npt.NDArray[np.bool_], true_count: int) -> float:
    """Return the area under the precision-recall curve, its precision made monotonic."""
    order = np.argsort(-scores, kind="stable")
    found = np.cumsum(right[order])
    recall = np.concatenate([[0.0], found / true_count])
    precision = found / np.arange(1, len(found) + 1)
    best_after = np.maximum.accumulate(precision[::-1])[::-1]
    return float(np.sum(np.diff(recall) * best_after))


def report(found: Sequence[Found], truths: Sequence[Truth], classes: int) -> Report:
    """Return the figures of a set of pictures, given detections and truth in the same order."""
    right = np.concatenate([hits(f, t) for f, t in zip(found, truths, strict=True)])
    kinds = np.concatenate([f.classes for f in found]).astype(int)
    scores = np.concatenate([f.scores for f in found])
    true_kinds = np.concatenate([t.classes for t in truths]).astype(int)
    precisions = []
    for kind in range(classes):
        count = int((true_kinds == kind).sum())
        mine = kinds == kind
        precisions.append(
            average_precision(scores[mine], right[mine], count) if count else float("nan")
        )
    sure = scores >= 0.5
    return Report(
        mean_average_precision=float(np.nanmean(precisions)),
        average_precision=tuple(precisions),
        precision=float(right[sure].mean()) if sure.any() else float("nan"),
        recall=float(right[sure].sum() / max(len(true_kinds), 1)),
    )


def confusion(true: Ints, said: Ints, classes: int) -> npt.NDArray[np.int64]:
    """Return the counts of (true class, class said), shape (classes, classes)."""
    return np.bincount(true * classes + said, minlength=classes**2).reshape(classes, classes)
