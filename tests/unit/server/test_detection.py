"""Which tensor is which, and which boxes an answer has."""

import contextlib
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from model_server.errors import InferenceFailed, InvalidModel
from model_server.models.base import ModelInfo, TensorSpec
from model_server.models.labels import Labels
from model_server.vision.detection import (
    Detection,
    DetectionOutputs,
    Selection,
    select_detections,
)
from model_server.vision.detector_outputs import BoxSettings, find_detector
from model_server.vision.sample_pictures import OBJECTS

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


def detection_outputs(specs: Any, sample: Any) -> DetectionOutputs | None:
    """Of a tflite model, by one sample."""
    found = find_detector(ModelInfo("tflite", (), tuple(specs)), [sample], None)
    return found.outputs if found else None


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
    assert detection_outputs(specs, sample) == DetectionOutputs(
        by_role["boxes"], by_role["classes"], by_role["scores"], by_role["count"]
    )


def test_extra_outputs_are_ignored() -> None:
    keys = ("boxes", "classes", "scores", "count")
    names = ("detection_boxes", "detection_classes", "detection_scores", "num_detections", "raw")
    specs, sample = named(names, [*(ROWS[key] for key in keys), np.zeros((1, 2, 91))])
    assert detection_outputs(specs, sample) == DetectionOutputs(*names[:4])


def test_a_classifier_is_no_detector() -> None:
    specs, sample = named(("probabilities",), [np.zeros((1, 1000), np.float32)])
    assert detection_outputs(specs, sample) is None


def test_best_first_named_and_above_the_threshold() -> None:
    found = select_detections(ROWS, ROLES, Selection(0.3, 10), LABELS)
    assert [(item.label, item.class_id) for item in found] == [("dog", 1)]
    assert found[0].box == (0.0, 0.0, 0.5, 0.5)
    assert found[0].score == pytest.approx(0.9)


def test_no_more_than_asked_for_and_no_more_than_counted() -> None:
    rows = [(0, 0, 1, 1, 0, score) for score in (0.5, 0.9, 0.7)]
    best = select_detections(tensors(rows), ROLES, Selection(0, 2), LABELS)
    assert [round(item.score, 2) for item in best] == [0.9, 0.7]
    counted = select_detections(tensors(rows, count=1), ROLES, EVERYTHING, LABELS)
    assert [round(item.score, 2) for item in counted] == [0.5]


def test_boxes_are_cut_at_the_edges_and_empty_ones_dropped() -> None:
    rows = [(-0.5, -0.1, 1.5, 2, 0, 0.9), (0.5, 0.5, 0.5, 0.9, 0, 0.8), (1.2, 0, 1.4, 1, 0, 0.7)]
    found = select_detections(tensors(rows), ROLES, EVERYTHING, LABELS)
    assert [item.box for item in found] == [(0.0, 0.0, 1.0, 1.0)]


def detections_or_none(table: NDArray[np.float32], selection: Selection) -> list[Detection]:
    """None where the values cannot be those of a detector, which is an error."""
    with contextlib.suppress(InferenceFailed):
        return select_detections(tensors(table), ROLES, selection, None)
    return []


@given(arrays(np.float32, (5, 6)), st.floats(0, 1), st.integers(1, 5))
def test_any_numbers_give_valid_detections(
    table: NDArray[np.float32], threshold: float, most: int
) -> None:
    """Models of strangers may put out anything, not-a-number and infinities included."""
    with np.errstate(all="ignore"):
        found = detections_or_none(table, Selection(threshold, most))
    assert len(found) <= most
    for item in found:
        assert threshold <= item.score + 1e-6
        ymin, xmin, ymax, xmax = item.box
        assert 0 <= ymin < ymax <= 1
        assert 0 <= xmin < xmax <= 1


# ---- how boxes are written

OBJECT = OBJECTS[3][1][0]  # wide, in the lower half


def written(box: Any, form: str, scale: Any = (1, 1)) -> list[float]:
    """(ymin, xmin, ymax, xmax) in fractions, as a model of some form writes it."""
    height, width = scale
    ymin, xmin, ymax, xmax = box[0] * height, box[1] * width, box[2] * height, box[3] * width
    if form == "yxyx":
        return [ymin, xmin, ymax, xmax]
    if form == "xyxy":
        return [xmin, ymin, xmax, ymax]
    return [(xmin + xmax) / 2, (ymin + ymax) / 2, xmax - xmin, ymax - ymin]


def samples_of(box: Any, names: Any) -> list[dict[str, Any]]:
    """Nothing is found but in the last sample picture: one object, of class 2."""
    nothing = [np.zeros((1, 5, 4)), np.zeros((1, 5)), np.zeros((1, 5)), np.array([0.0])]
    found = [array.copy() for array in nothing]
    found[0][0, 0], found[1][0, 0], found[2][0, 0], found[3][0] = box, 2, 0.875, 1
    order = (0, 2, 1, 3)  # scores before classes, as combined_non_max_suppression has them
    made = [nothing, nothing, nothing, found]
    return [dict(zip(names, (item[index] for index in order), strict=True)) for item in made]


NAMES = [f"output_{index}" for index in range(4)]


@pytest.mark.parametrize("form", ["yxyx", "xyxy", "cxcywh"])
@pytest.mark.parametrize("scale", [(1, 1), (320, 320)])
@pytest.mark.parametrize("by_operator", [True, False])
def test_roles_order_and_units_of_boxes_are_seen_where_no_name_tells_them(
    form: str, scale: Any, by_operator: bool
) -> None:
    samples = samples_of(written(OBJECT, form, scale), NAMES)
    specs = tuple(TensorSpec(name, (1, 5, 4), np.dtype(np.float32)) for name in NAMES)
    roles = dict(zip(NAMES, ("boxes", "scores", "classes", "count"), strict=True))
    info = ModelInfo("savedmodel", (), specs, first_class=1, roles=roles if by_operator else {})
    found = find_detector(info, samples, (320, 320))
    assert found is not None
    assert found.assumed == ()
    outputs = found.outputs
    assert (outputs.classes, outputs.scores, outputs.box_format) == ("output_2", "output_1", form)
    (item,) = select_detections(samples[3], outputs, Selection(0.3, 10), None)
    assert item.box == pytest.approx(OBJECT, abs=1e-5)
    assert (item.class_id, item.label) == (2, "class_2")


def test_an_order_that_nothing_tells_is_marked_as_assumed() -> None:
    samples = samples_of([0.1, 0.1, 0.2, 0.2], NAMES)
    specs = tuple(TensorSpec(name, (1, 5, 4), np.dtype(np.float32)) for name in NAMES)
    found = find_detector(ModelInfo("savedmodel", (), specs), samples, (320, 320))
    assert found is not None
    assert "--box-format" in found.assumed[0]
    asked = find_detector(
        ModelInfo("savedmodel", (), specs), samples, (320, 320), BoxSettings("xyxy", "pixels")
    )
    assert asked is not None
    assert (asked.assumed, asked.outputs.box_format, asked.outputs.units) == ((), "xyxy", "pixels")


def test_roles_that_nothing_tells_are_asked_for() -> None:
    samples = samples_of([0.1, 0.1, 0.2, 0.2], NAMES)[:3]
    specs = tuple(TensorSpec(name, (1, 5, 4), np.dtype(np.float32)) for name in NAMES)
    info = ModelInfo("savedmodel", (), specs)
    with pytest.raises(InvalidModel, match="--detector-outputs boxes=output_0"):
        find_detector(info, samples, (320, 320))
    named = {"boxes": "output_0", "classes": "output_2", "scores": "output_1"}
    found = find_detector(info, samples, (320, 320), BoxSettings("yxyx", "fraction", named))
    assert found is not None
    assert found.outputs.classes == "output_2"
    with pytest.raises(InvalidModel, match="no such output; it has output_0"):
        find_detector(info, samples, None, BoxSettings(outputs={**named, "boxes": "x"}))


@pytest.mark.parametrize("first", [0, 1])
def test_only_the_object_detection_api_counts_from_one(first: int) -> None:
    names = ["detection_boxes", "detection_scores", "detection_classes", "num_detections"]
    names = names if first else NAMES
    specs = tuple(TensorSpec(name, (1, 5, 4), np.dtype(np.float32)) for name in names)
    samples = samples_of(OBJECT, names)
    found = find_detector(ModelInfo("savedmodel", (), specs, first_class=1), samples, None)
    assert found is not None
    assert found.outputs.first_class == first


@pytest.mark.parametrize(
    ("box", "score", "said"),
    [((100, 200, 300, 400), 0.9, "--box-units"), ((0.1, 0.1, 0.2, 0.2), 7.0, "scores go up to 1")],
)
def test_values_that_cannot_be_are_an_error_not_a_clip(box: Any, score: float, said: str) -> None:
    with pytest.raises(InferenceFailed, match=said):
        select_detections(tensors([(*box, 1, score)]), ROLES, EVERYTHING, None)
    # What is below the threshold may be anything: exporters pad.
    low = tensors([(100, 200, 300, 400, 1, 0.0)])
    assert select_detections(low, ROLES, Selection(0.3, 5), None) == []


# ---- YOLO


def yolo(form: str, cells: int, units: float) -> Any:
    """Two objects of class 1, each found twice, and one of class 0 over the first."""
    rows = np.zeros((cells, 4 + 3 + (form == "yolov5")), np.float32)
    rows[:, :4] = np.array([0.5, 0.5, 0.1, 0.1]) * units
    scores = [(0.9, 1), (0.8, 1), (0.7, 1), (0.6, 0)]
    boxes = [
        (0.3, 0.3, 0.2, 0.4),
        (0.31, 0.3, 0.2, 0.4),
        (0.7, 0.7, 0.2, 0.2),
        (0.3, 0.3, 0.2, 0.4),
    ]
    for index, ((score, kind), box) in enumerate(zip(scores, boxes, strict=True)):
        rows[index, :4] = np.array(box) * units
        rows[index, -3 + kind] = score
    if form == "yolov5":
        rows[:, 4] = 1.0
    return (rows.T if form == "yolov8" else rows)[np.newaxis]


@pytest.mark.parametrize("units", [1.0, 320.0])
@pytest.mark.parametrize(
    ("form", "cells"), [("yolov5", 6300), ("yolov8", 2100), ("yolov8_rows", 2100)]
)
def test_undecoded_outputs_of_yolo_are_decoded_and_suppressed(
    form: str, cells: int, units: float
) -> None:
    whole = yolo(form, cells, units)
    specs = (TensorSpec("output_0", whole.shape, np.dtype(np.float32)),)
    found = find_detector(ModelInfo("savedmodel", (), specs), [{"output_0": whole}], (320, 320))
    assert found is not None
    items = select_detections({"output_0": whole}, found.outputs, Selection(0.25, 10), LABELS)
    assert [(item.label, round(item.score, 2)) for item in items] == [
        ("dog", 0.9),
        ("dog", 0.7),
        ("cat", 0.6),
    ]
    assert items[0].box == pytest.approx((0.1, 0.2, 0.5, 0.4), abs=1e-5)


def test_other_outputs_of_three_dimensions_are_no_yolo() -> None:
    for shape in ((1, 84, 2101), (1, 2100, 4), (1, 17, 3), (1, 300, 7)):
        specs = (TensorSpec("x", shape, np.dtype(np.float32)),)
        info = ModelInfo("savedmodel", (), specs)
        assert find_detector(info, [{"x": np.zeros(shape)}], (320, 320)) is None
