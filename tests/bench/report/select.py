"""Finds figures among rows and condenses rounds; the only reader of the rows' fields.

All comparisons are within one run: rows of another run never get here.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Any

from bench.record import Row
from bench.serving.contestants import ARTICLES, LIMITS, OURS, VARIANTS

OUR_VARIANTS = VARIANTS - {OURS}
NOT_PEERS = {*VARIANTS, *LIMITS, ARTICLES}


def where(rows: Sequence[Row], **wanted: Any) -> list[Row]:
    """The rows that have all of these values; a field that is absent equals None."""
    return [row for row in rows if all(row.get(name) == value for name, value in wanted.items())]


def median(rows: Sequence[Row], field: str) -> float | None:
    """The median of a field over the rows that have it."""
    values = [row[field] for row in rows if row.get(field) is not None]
    return statistics.median(values) if values else None


def largest(rows: Sequence[Row], field: str) -> float | None:
    """The largest value of a field over the rows that have it."""
    values = [row[field] for row in rows if row.get(field) is not None]
    return max(values) if values else None


def by_round(rows: Sequence[Row], field: str) -> dict[int, float]:
    """Each round's best value of a field: its largest over concurrencies."""
    found: dict[int, float] = {}
    for row in rows:
        value = row.get(field)
        if value is not None:
            number = int(row["round"])
            found[number] = max(found.get(number, value), value)
    return found


def speed(rows: Sequence[Row], contestant: str, **case: Any) -> dict[int, float]:
    """Images per second of a contestant at its best concurrency, by round.

    A limit is taken with as many processes as there are cores.
    """
    found = where(rows, bench="serving", kind="closed", contestant=contestant, **case)
    if contestant in LIMITS and found:
        most = max(row["processes"] for row in found)
        found = where(found, processes=most)
    return by_round(found, "images_per_second")


def contestants(rows: Sequence[Row], **case: Any) -> list[str]:
    """Who was measured in a case, in the order of first appearance."""
    return list(dict.fromkeys(row["contestant"] for row in where(rows, kind="closed", **case)))


def best_peer(rows: Sequence[Row], **case: Any) -> str | None:
    """The fastest contestant that is neither ours, a limit nor the articles' way."""
    speeds = {
        name: statistics.median(values.values())
        for name in contestants(rows, **case)
        if name not in NOT_PEERS and (values := speed(rows, name, **case))
    }
    return max(speeds, key=lambda name: speeds[name]) if speeds else None
