"""Scores to probabilities to classes."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from model_server.models.base import TensorSpec
from model_server.vision.classification import (
    ScoreOutput,
    classification_output,
    probabilities,
    score_kind,
    top_classes,
)


def spec(*shape: Any) -> Any:
    return TensorSpec("scores", shape, np.dtype(np.float32))


@pytest.mark.parametrize(
    ("specs", "found"),
    [
        ([spec(1, 1000)], True),
        ([spec(-1, 5)], True),
        ([spec(1, 1, 1, 1001)], True),
        ([spec(1, 1)], False),
        ([spec(1, 7, 7, 1280)], False),
        ([spec(1, 10), spec(1, 10)], False),
    ],
)
def test_a_classifier_has_one_vector_of_scores(specs: Any, found: bool) -> None:
    assert classification_output(specs) == ("scores" if found else None)


@pytest.mark.parametrize("shape", [(1, 1), (-1, 1), (1,), (1, 1, 1, 1)])
def test_one_value_is_enough_for_a_binary_classifier(shape: tuple[int, ...]) -> None:
    assert classification_output([spec(*shape)], binary=True) == "scores"
    assert classification_output([spec(1, 3)], binary=True) is None


PROBABILITIES = ScoreOutput("scores", "probabilities")
LOGITS = ScoreOutput("scores", "logits")


def values(*scores: float) -> NDArray[np.float32]:
    return np.array([scores], np.float32)


def test_probabilities_stay_as_they_are() -> None:
    assert probabilities(values(0.1, 0.2, 0.7), PROBABILITIES) == pytest.approx([0.1, 0.2, 0.7])


def test_sigmoid_scores_need_not_sum_to_one() -> None:
    assert probabilities(values(0.9, 0.8), PROBABILITIES) == pytest.approx([0.9, 0.8])


def test_logits_get_a_softmax_even_if_those_of_one_picture_look_like_probabilities() -> None:
    assert probabilities(values(0.0, 1000.0), LOGITS) == pytest.approx([0.0, 1.0])
    assert probabilities(np.array([[[[2.0, 2.0]]]], np.float32), LOGITS) == pytest.approx(
        [0.5, 0.5]
    )
    assert probabilities(values(0.5, 0.5), LOGITS) == pytest.approx([0.5, 0.5])
    assert probabilities(values(0.0, 1.0), LOGITS) == pytest.approx([0.269, 0.731], abs=1e-3)


def test_the_logarithm_of_a_softmax_is_undone() -> None:
    output = ScoreOutput("scores", "log_probabilities")
    assert probabilities(np.log(values(0.25, 0.75)), output) == pytest.approx([0.25, 0.75])


@pytest.mark.parametrize(
    ("kind", "value", "second"),
    [
        ("probabilities", 0.00001, 0.00001),
        ("probabilities", 0.99999, 0.99999),
        ("logits", 0.0, 0.5),
        ("logits", 0.5, 0.6225),
        ("logits", -200.0, 0.0),
        ("logits", 200.0, 1.0),
    ],
)
def test_one_value_of_a_binary_classifier_is_the_second_class(
    kind: Any, value: float, second: float
) -> None:
    found = probabilities(values(value), ScoreOutput("scores", kind, binary=True))
    assert found == pytest.approx([1 - second, second], abs=1e-4)


@pytest.mark.parametrize(
    ("activation", "samples", "kind"),
    [
        ("softmax", [], "probabilities"),
        ("sigmoid", [], "probabilities"),
        ("log_softmax", [], "log_probabilities"),
        ("", [values(0.2, 0.8), values(1.0, 0.0)], "probabilities"),
        ("", [values(0.2, 0.8), values(-3.0, 0.4)], "logits"),
    ],
)
def test_what_values_are_follows_from_the_last_operator_else_from_several_pictures(
    activation: str, samples: Any, kind: str
) -> None:
    assert score_kind(activation, samples) == kind


@given(arrays(np.float32, (1, 6)))
def test_any_scores_give_numbers_between_0_and_1(scores: NDArray[np.float32]) -> None:
    with np.errstate(all="ignore"):
        found = probabilities(scores, LOGITS)
    top = top_classes(found, [str(index) for index in range(6)], 6)
    assert all(0 <= item.probability <= 1 for item in top)


@given(st.lists(st.floats(0, 1, width=32), min_size=3, max_size=9), st.integers(1, 5))
def test_top_classes_are_the_largest_in_order(values: list[float], count: int) -> None:
    names = [f"n{index}" for index in range(len(values))]
    top = top_classes(np.array(values, np.float32), names, count)
    assert [item.probability for item in top] == sorted(values, reverse=True)[:count]
    assert all(item.label == f"n{item.class_id}" for item in top)
