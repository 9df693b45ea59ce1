"""The arithmetic of the benchmark: percentiles, medians, ratios. Pure, so that it can be held.

It must not know what is measured: callers bring plain numbers and name them.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass


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


@dataclass(frozen=True)
class Interval:
    """A ratio and where its true value lies.

    Attributes:
        ratio: The geometric mean of the pairs' ratios.
        low: The lower end of the interval.
        high: Its upper end.
        pairs: How many there are.
    """

    ratio: float
    low: float
    high: float
    pairs: int

    @property
    def above_one(self) -> bool:
        """Whether the whole interval lies above 1."""
        return self.low > 1.0

    @property
    def below_one(self) -> bool:
        """Whether the whole interval lies below 1."""
        return self.high < 1.0


def ratio_interval(ratios: Sequence[float], confidence: float = 0.95) -> Interval:
    """The geometric mean of paired ratios, with the interval of Student's t on their logarithms.

    Pairs are taken to be independent, which their random order is for.

    Args:
        ratios: One for each pair, above 0.
        confidence: How often such intervals hold the true value, 0 to 1.

    Raises:
        ValueError: There are no ratios, or one is not above 0. A single one has an infinite
            interval: it says nothing.
    """
    if not ratios or min(ratios) <= 0:
        raise ValueError(f"ratios above 0 are needed, not {list(ratios)}")
    logs = [math.log(ratio) for ratio in ratios]
    middle = statistics.fmean(logs)
    if len(logs) == 1:
        return Interval(math.exp(middle), 0.0, math.inf, 1)
    error = statistics.stdev(logs) / math.sqrt(len(logs))
    reach = student_t(len(logs) - 1, confidence) * error
    return Interval(math.exp(middle), math.exp(middle - reach), math.exp(middle + reach), len(logs))


def student_t(degrees: int, confidence: float) -> float:
    """How many standard errors to each side hold this share of Student's distribution.

    Raises:
        ValueError: Fewer than one degree of freedom, or a share that is not between 0 and 1.
    """
    if degrees < 1 or not 0 < confidence < 1:
        raise ValueError(f"{degrees} degrees of freedom and a confidence of {confidence}")
    low, high = 0.0, 1.0
    while _within(high, degrees) < confidence:
        high *= 2
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (middle, high) if _within(middle, degrees) < confidence else (low, middle)
    return high


def _within(reach: float, degrees: int) -> float:
    """The share of Student's distribution between -reach and reach.

    The finite sums for whole degrees of freedom: Abramowitz and Stegun, 26.7.3 and 26.7.4.
    """
    angle = math.atan(reach / math.sqrt(degrees))
    cosine = math.cos(angle)
    odd = degrees % 2
    term, total = (cosine, cosine) if odd else (1.0, 1.0)
    if degrees == 1:
        total = 0.0
    for factor in range(3 if odd else 2, degrees - 1, 2):
        term *= cosine * cosine * (factor - 1) / factor
        total += term
    if odd:
        return 2 / math.pi * (angle + math.sin(angle) * total)
    return math.sin(angle) * total
