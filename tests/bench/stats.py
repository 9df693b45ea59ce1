"""The arithmetic of the benchmark: percentiles, medians, ratios. Pure, so that it can be held.

It must not know what is measured: callers bring plain numbers and name them.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which ``share`` (0 to 1) of the values lie, by linear interpolation.

    The same definition as NumPy's default (Hyndman and Fan, type 7).

    Raises:
        ValueError: There are no values, or the share is outside 0 to 1.
    """
    if not values:
        raise ValueError("a percentile of no values")
    if not 0 <= share <= 1:
        raise ValueError(f"a share of {share} is outside 0 to 1")
    ordered = sorted(values)
    position = (len(ordered) - 1) * share
    below = math.floor(position)
    above = math.ceil(position)
    return ordered[below] + (ordered[above] - ordered[below]) * (position - below)


def spread(values: Sequence[float]) -> float:
    """How far the values lie apart, as (largest - smallest) / median; 0 for fewer than two."""
    if len(values) < 2:
        return 0.0
    middle = statistics.median(values)
    return (max(values) - min(values)) / middle if middle else math.inf


def paired_ratio(above: Mapping[int, float], below: Mapping[int, float]) -> float | None:
    """The median over the rounds both were measured in of ``above / below``.

    Dividing within a round lets the machine's drift between rounds cancel. None when the two
    share no round, or a divisor is zero.
    """
    rounds = sorted(above.keys() & below.keys())
    if not rounds or any(below[number] == 0 for number in rounds):
        return None
    return statistics.median(above[number] / below[number] for number in rounds)


def corrected(sent: Sequence[float], took: Sequence[float], rate: float) -> list[float]:
    """Latencies of an open loop counted from when each request was due, not when it was sent.

    A generator that falls behind its schedule would otherwise hide the wait of the requests it
    sent late (coordinated omission).

    Args:
        sent: When each request left, in seconds, in the order of the schedule.
        took: How long each answer took from then, in seconds.
        rate: Requests per second of the schedule; the first request is due when it was sent.
    """
    if not sent:
        return []
    start = sent[0]
    return [
        max(duration, left + duration - (start + number / rate))
        for number, (left, duration) in enumerate(zip(sent, took, strict=True))
    ]
