"""The benchmark's arithmetic."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench import stats

finite = st.floats(0, 1e6, allow_nan=False)


@settings(deadline=None)
@given(st.lists(finite, min_size=1, max_size=50), st.floats(0, 1))
def test_percentile_is_numpys(values: list[float], share: float) -> None:
    assert stats.percentile(values, share) == pytest.approx(
        float(np.quantile(values, share)), rel=1e-9, abs=1e-9
    )


@pytest.mark.parametrize(("values", "share"), [([], 0.5), ([1.0], 1.5), ([1.0], -0.1)])
def test_percentile_refuses_nonsense(values: list[float], share: float) -> None:
    with pytest.raises(ValueError, match=r"percentile|share"):
        stats.percentile(values, share)


def test_spread_is_relative_to_the_median() -> None:
    assert stats.spread([8, 10, 13]) == 0.5
    assert stats.spread([5]) == 0
    assert stats.spread([-1, 0, 1]) == math.inf


def test_paired_ratio_lets_drift_cancel() -> None:
    # Round 1 ran on a machine half as fast; the ratio within each round is the same.
    assert stats.paired_ratio({0: 90, 1: 45}, {0: 100, 1: 50}) == 0.9


def test_paired_ratio_needs_a_common_round() -> None:
    assert stats.paired_ratio({0: 1.0}, {1: 1.0}) is None
    assert stats.paired_ratio({0: 1.0}, {0: 0.0}) is None


def test_latency_counts_from_when_a_request_was_due() -> None:
    # Ten a second; the third request left 0.4 s late, because the generator was held up.
    sent = [0.0, 0.1, 0.6, 0.6]
    assert stats.corrected(sent, [0.01] * 4, rate=10) == pytest.approx([0.01, 0.01, 0.41, 0.31])


def test_a_request_that_left_early_keeps_its_own_latency() -> None:
    assert stats.corrected([0.0, 0.05], [0.2, 0.2], rate=10) == pytest.approx([0.2, 0.2])
    assert stats.corrected([], [], rate=10) == []
