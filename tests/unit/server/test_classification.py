"""Scores to probabilities to classes."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from model_server.models.base import TensorSpec
from model_server.vision.classification import classification_output, probabilities, top_classes


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


def test_probabilities_stay_as_they_are() -> None:
    scores = np.array([[0.1, 0.2, 0.7]], np.float32)
    assert probabilities(scores) == pytest.approx(scores[0])


def test_sigmoid_scores_need_not_sum_to_one() -> None:
    assert probabilities(np.array([[0.9, 0.8]], np.float32)) == pytest.approx([0.9, 0.8])


def test_logits_get_a_softmax() -> None:
    assert probabilities(np.array([[0.0, 1000.0]], np.float32)) == pytest.approx([0.0, 1.0])
    assert probabilities(np.array([[[[2.0, 2.0]]]], np.float32)) == pytest.approx([0.5, 0.5])


@given(arrays(np.float32, (1, 6)))
def test_any_scores_give_numbers_between_0_and_1(scores: NDArray[np.float32]) -> None:
    with np.errstate(all="ignore"):
        values = probabilities(scores)
    top = top_classes(values, [str(index) for index in range(6)], 6)
    assert all(0 <= item.probability <= 1 for item in top)


@given(st.lists(st.floats(0, 1, width=32), min_size=3, max_size=9), st.integers(1, 5))
def test_top_classes_are_the_largest_in_order(values: list[float], count: int) -> None:
    names = [f"n{index}" for index in range(len(values))]
    top = top_classes(np.array(values, np.float32), names, count)
    assert [item.probability for item in top] == sorted(values, reverse=True)[:count]
    assert all(item.label == f"n{item.class_id}" for item in top)
