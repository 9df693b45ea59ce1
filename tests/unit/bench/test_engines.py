"""What the engine benchmark compares."""

from __future__ import annotations

import numpy as np
import pytest

from bench.engines.run import agreement
from bench.engines.worker import scores_of

BOXES = np.zeros((1, 3, 4), np.float32)
CLASSES = np.array([[2.0, 7.0, 2.0]], np.float32)
SCORES = np.array([[0.9, 0.8, 0.4]], np.float32)


@pytest.mark.parametrize(
    "outputs",
    [
        {"boxes": BOXES, "classes": CLASSES, "scores": SCORES, "count": np.array([3.0])},
        {"0": SCORES, "1": np.array([3.0]), "2": CLASSES, "3": BOXES},
    ],
    ids=["named", "in any order"],
)
def test_a_detectors_boxes_become_scores_of_classes(outputs: dict[str, np.ndarray]) -> None:
    found = scores_of(outputs, first_class=1)
    assert found[1] == pytest.approx(0.9)
    assert found[6] == pytest.approx(0.8)
    assert np.count_nonzero(found) == 2


def test_outputs_of_neither_kind_are_refused() -> None:
    with pytest.raises(SystemExit, match="not a detector"):
        scores_of({"a": SCORES, "b": SCORES}, 0)


def test_agreement_counts_photographs_and_all_pictures_apart() -> None:
    reference = np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4]], np.float32)
    found = np.array([[0.8, 0.2], [0.3, 0.7], [0.45, 0.55]], np.float32)
    assert agreement(found, reference, photographs=2) == {
        "photographs": 2,
        "same_top1_photographs": 2,
        "pictures": 3,
        "same_top1_pictures": 2,
        "largest_difference": 0.15,
    }
