"""Which tensor is which, and which boxes an answer has."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from model_server.models.base import TensorSpec
from model_server.models.labels import Labels
from model_server.vision.detection import (
    DetectionOutputs,
    Selection,
    detection_outputs,
    select_detections,
)

ROLES = DetectionOutputs("boxes", "classes", "scores", "count")
LABELS = Labels({0: "cat", 1: "dog"})
EVERYTHING = Selection(0.0, 100)


def tensors(rows: Any, count: int | None = None) -> Any:
    """Rows of (ymin, xmin, ymax, xmax, class, score)."""
    table = np.array(rows, np.float32).reshape(-1, 6)
    return {
        "boxes": table[None, :, :4],
        "classes": table[None, :, 4],
        "scores": table[None, :, 5],
        "count": np.array([len(table) if count is None else count], np.float32),
    }


def named(names: Any, sample: Any) -> Any:
    specs = [
        TensorSpec(name, array.shape, array.dtype)
        for name, array in zip(names, sample, strict=True)
    ]
    return specs, dict(zip(names, sample, strict=True))


ROWS = tensors([(0, 0, 0.5, 0.5, 1, 0.9), (0.1, 0.1, 0.2, 0.2, 0, 0.25)])


@pytest.mark.parametrize(
    "names",
    [
        ("detection_boxes", "detection_classes", "detection_scores", "num_detections"),
        ("boxes", "classes", "scores", "count"),
        ("location", "category", "score", "number_of_detections"),
        tuple(f"TFLite_Detection_PostProcess{end}" for end in ("", ":1", ":2", ":3")),
    ],
)
def test_outputs_are_found_by_name(names: Any) -> None:
    specs, sample = named(names, [ROWS[key] for key in ("boxes", "classes", "scores", "count")])
    assert detection_outputs(specs[::-1], sample) == DetectionOutputs(*names)


@pytest.mark.parametrize("order", [(0, 1, 2, 3), (2, 0, 3, 1), (3, 2, 1, 0), (1, 3, 0, 2)])
def test_outputs_without_names_are_found_by_shape_and_values(order: tuple[int, ...]) -> None:
    roles = ("boxes", "classes", "scores", "count")
    names = [f"StatefulPartitionedCall:{index}" for index in range(4)]
    specs, sample = named(names, [ROWS[roles[index]] for index in order])
    by_role = {roles[index]: name for index, name in zip(order, names, strict=True)}
    assert detection_outputs(specs, sample) == DetectionOutputs(**by_role)


def test_extra_outputs_are_ignored() -> None:
    keys = ("boxes", "classes", "scores", "count")
    names = ("detection_boxes", "detection_classes", "detection_scores", "num_detections", "raw")
    specs, sample = named(names, [*(ROWS[key] for key in keys), np.zeros((1, 2, 91))])
    assert detection_outputs(specs, sample) == DetectionOutputs(*names[:4])


def test_a_classifier_is_no_detector() -> None:
    specs, sample = named(("probabilities",), [np.zeros((1, 1000), np.float32)])
    assert detection_outputs(specs, sample) is None


def test_best_first_named_and_above_the_threshold() -> None:
    found = select_detections(ROWS, ROLES, Selection(0.3, 10), LABELS, 0)
    assert [(item.label, item.class_id) for item in found] == [("dog", 1)]
    assert found[0].box == (0.0, 0.0, 0.5, 0.5)
    assert found[0].score == pytest.approx(0.9)


def test_no_more_than_asked_for_and_no_more_than_counted() -> None:
    rows = [(0, 0, 1, 1, 0, score) for score in (0.5, 0.9, 0.7)]
    best = select_detections(tensors(rows), ROLES, Selection(0, 2), LABELS, 0)
    assert [round(item.score, 2) for item in best] == [0.9, 0.7]
    counted = select_detections(tensors(rows, count=1), ROLES, EVERYTHING, LABELS, 0)
    assert [round(item.score, 2) for item in counted] == [0.5]


def test_boxes_are_cut_at_the_edges_and_empty_ones_dropped() -> None:
    rows = [(-0.5, -0.1, 1.5, 2, 0, 0.9), (0.5, 0.5, 0.5, 0.9, 0, 0.8), (1.2, 0, 1.4, 1, 0, 0.7)]
    found = select_detections(tensors(rows), ROLES, EVERYTHING, LABELS, 0)
    assert [item.box for item in found] == [(0.0, 0.0, 1.0, 1.0)]


@given(arrays(np.float32, (5, 6)), st.floats(0, 1), st.integers(1, 5))
def test_any_numbers_give_valid_detections(
    table: NDArray[np.float32], threshold: float, most: int
) -> None:
    """Models of strangers may put out anything, not-a-number and infinities included."""
    with np.errstate(all="ignore"):
        found = select_detections(tensors(table), ROLES, Selection(threshold, most), None, 1)
    assert len(found) <= most
    for item in found:
        assert threshold <= item.score + 1e-6
        ymin, xmin, ymax, xmax = item.box
        assert 0 <= ymin < ymax <= 1
        assert 0 <= xmin < xmax <= 1
