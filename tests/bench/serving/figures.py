"""From answers to figures. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Sequence
from typing import Any

from bench import stats
from bench.load import Answer

JPEG = b"\xff\xd8"
Read = Callable[[bytes], list[str]]


def is_right(answer: Answer, read: Read | None, expected: Collection[str]) -> bool:
    """Whether an answer is 200 and, when it can be read, names first what one picture shows.

    Args:
        answer: What came back.
        read: Takes the labels from a body; None when the answer must be a JPEG, of which only
            the beginning is checked here.
        expected: The first labels of the pictures that were sent.
    """
    if answer.status != 200:
        return False
    if read is None:
        return answer.body.startswith(JPEG)
    try:
        labels = read(answer.body)
    except (ValueError, KeyError, IndexError, TypeError, AttributeError):
        return False
    return bool(labels) and labels[0] in expected


def closed(
    answers: Sequence[Answer], right: Sequence[bool], begin: float, seconds: float
) -> dict[str, Any]:
    """The figures of a closed loop between ``begin`` and ``begin + seconds``.

    Only what was done within the window counts, whenever it was sent.
    """
    inside = [
        (answer, good)
        for answer, good in zip(answers, right, strict=True)
        if begin <= answer.done < begin + seconds
    ]
    took = [answer.took * 1000 for answer, good in inside if good]
    return {
        "images_per_second": round(rate([a.done for a, good in inside if good], seconds), 2),
        "images": len(took),
        "wrong": len(inside) - len(took),
        **latencies(took),
    }


def rate(done: Sequence[float], seconds: float) -> float:
    """Answers per second.

    With few answers the window's edges matter: the rate between the first and the last answer
    is then nearer the truth than their number over the window's length. It may correct by the one
    answer that an edge can cut off, not by more: answers that come in a burst, as of a server that
    releases eight at once, lie close together and say nothing of the pace.
    """
    if len(done) < 3 or len(done) > 40:
        return len(done) / seconds
    first, last = min(done), max(done)
    spaced = (len(done) - 1) / (last - first) if last > first else math.inf
    return min(max(spaced, (len(done) - 1) / seconds), (len(done) + 1) / seconds)


def latencies(milliseconds: Sequence[float]) -> dict[str, float | None]:
    """Median and 99th percentile, or None for both when nothing was answered."""
    if not milliseconds:
        return {"p50_ms": None, "p99_ms": None}
    return {
        "p50_ms": round(stats.percentile(milliseconds, 0.5), 3),
        "p99_ms": round(stats.percentile(milliseconds, 0.99), 3),
    }


def open_loop(
    answers: Sequence[Answer], right: Sequence[bool], offered: float, seconds: float
) -> dict[str, Any]:
    """The figures of an open loop that offered ``offered`` requests per second.

    Goodput counts right answers that arrived while load was still offered. What was refused is
    told apart from what failed: a 503 is an answer, a time-out or another 5xx is not. Latency is
    counted from when each request was due.
    """
    sent = [answer.sent for answer in answers]
    took = stats.corrected(sent, [answer.took for answer in answers], offered)
    end = (sent[0] if sent else 0.0) + seconds
    good = [a for a, ok in zip(answers, right, strict=True) if ok and a.done <= end]
    refused = [answer.took * 1000 for answer in answers if answer.status == 503]
    late = [t * 1000 for t, ok in zip(took, right, strict=True) if ok]
    return {
        "offered_per_second": round(offered, 1),
        "goodput_per_second": round(len(good) / seconds, 2),
        "refused": len(refused),
        "refused_p99_ms": latencies(refused)["p99_ms"],
        "failed": sum(
            1 for a, ok in zip(answers, right, strict=True) if not ok and a.status != 503
        ),
        "requests": len(answers),
        **latencies(late),
    }
