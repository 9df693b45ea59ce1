"""The detector's metric against cases worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from training import calibration
from training.evaluate import Found, Truth, average_precision, confusion, hits, overlaps, report


def truth(*rows: tuple[float, float, float, float, int]) -> Truth:
    table = np.array(rows, float).reshape(-1, 5)
    return Truth(table[:, :4], table[:, 4].astype(int))


def found(*rows: tuple[float, float, float, float, int, float]) -> Found:
    table = np.array(rows, float).reshape(-1, 6)
    return Found(table[:, :4], table[:, 4].astype(int), table[:, 5])


def test_overlap_of_boxes_worked_out_by_hand() -> None:
    first = np.array([[0.0, 0.0, 2.0, 2.0]])
    second = np.array(
        [[0.0, 0.0, 2.0, 2.0], [1.0, 1.0, 3.0, 3.0], [0.0, 0.0, 1.0, 2.0], [5.0, 5.0, 6.0, 6.0]]
    )
    np.testing.assert_allclose(overlaps(first, second), [[1.0, 1 / 7, 0.5, 0.0]])


def test_boxes_without_area_overlap_nothing() -> None:
    empty = np.array([[1.0, 1.0, 1.0, 1.0]])
    assert overlaps(empty, empty)[0, 0] == 0.0


def test_a_truth_is_found_once_and_by_the_best_score() -> None:
    right = hits(
        found((0, 0, 1, 1, 0, 0.6), (0, 0, 1, 1, 0, 0.9), (0, 0, 1, 1, 1, 0.99)),
        truth((0, 0, 1, 1, 0)),
    )
    assert right.tolist() == [False, True, False]


def test_a_detection_takes_the_truth_that_fits_best() -> None:
    both = truth((0, 0, 1, 1, 0), (0, 0, 1, 0.8, 0))
    assert hits(found((0, 0, 1, 0.8, 0, 0.9), (0, 0, 1, 1, 0, 0.8)), both).all()


def test_half_an_overlap_is_just_enough() -> None:
    assert hits(found((0, 0, 1, 0.5, 0, 0.9)), truth((0, 0, 1, 1, 0))).all()
    assert not hits(found((0, 0, 1, 0.49, 0, 0.9)), truth((0, 0, 1, 1, 0))).any()


def test_average_precision_worked_out_by_hand() -> None:
    # Ranked right, wrong, right of three truths: precision 1, 1/2, 2/3 at recall 1/3, 1/3, 2/3.
    right = np.array([True, False, True])
    value = average_precision(np.array([0.9, 0.8, 0.7]), right, 3)
    assert value == pytest.approx(1 / 3 * 1 + 1 / 3 * 2 / 3)


def test_precision_before_a_better_later_one_is_lifted_to_it() -> None:
    # Ranked wrong, right, right: precision 0, 1/2, 2/3; the best at or after recall 1/2 is 2/3.
    right = np.array([False, True, True])
    assert average_precision(np.array([0.9, 0.8, 0.7]), right, 2) == pytest.approx(2 / 3)


def test_nothing_found_scores_nothing() -> None:
    assert average_precision(np.array([]), np.array([], bool), 4) == 0.0


def test_report_over_pictures_and_classes() -> None:
    figures = report(
        [found((0, 0, 1, 1, 0, 0.9), (0, 0, 1, 1, 1, 0.3)), found((0, 0, 1, 1, 1, 0.8)), found()],
        [truth((0, 0, 1, 1, 0)), truth((0, 0, 1, 1, 1)), truth((0, 0, 1, 1, 1))],
        3,
    )
    # Class 0: found. Class 1: one of two found, before the false one. Class 2 never occurs.
    assert figures.average_precision[:2] == pytest.approx((1.0, 0.5))
    assert np.isnan(figures.average_precision[2])
    assert figures.mean_average_precision == pytest.approx(0.75)
    assert figures.precision == pytest.approx(1.0)
    assert figures.recall == pytest.approx(2 / 3)


def test_confusion_counts_true_against_said() -> None:
    table = confusion(np.array([0, 0, 1, 2]), np.array([0, 1, 1, 2]), 3)
    assert table.tolist() == [[1, 1, 0], [0, 1, 0], [0, 0, 1]]


def test_calibration_learns_that_scores_are_too_bold() -> None:
    rng = np.random.default_rng(5)
    claimed = rng.uniform(0.02, 0.98, 4000)
    logit = np.log(claimed / (1 - claimed))
    honest = 1 / (1 + np.exp(-(0.5 * logit - 1.0)))
    right = rng.random(4000) < honest
    pictures = [found((0, 0, 1, 1, 0, float(score))) for score in claimed]
    truths = [truth((0, 0, 1, 1, 0)) if r else truth() for r in right]
    sharpness, shift = calibration.fit(pictures, truths)
    assert sharpness == pytest.approx(0.5, abs=0.08)
    assert shift == pytest.approx(-1.0, abs=0.12)
    before = calibration.error(pictures, truths)
    after = calibration.error(
        [found((0, 0, 1, 1, 0, float(1 / (1 + np.exp(-(sharpness * v + shift)))))) for v in logit],
        truths,
    )
    assert after < 0.03 < before
