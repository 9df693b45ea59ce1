"""In which order contestants are measured, so that the machine's drift favours none of them.

Each round visits every contestant once. Odd rounds run in the opposite order of even ones, so
that over two rounds every contestant has the same mean position in time, and a rotation keeps the
ends of the list from always meeting a cold or a hot machine.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")


def interleaved(items: Sequence[T], rounds: int) -> list[tuple[int, T]]:
    """Every item once per round, as (round number, item), in an order that cancels drift.

    Raises:
        ValueError: Fewer than one round.
    """
    if rounds < 1:
        raise ValueError(f"{rounds} rounds: at least one is needed")
    plan: list[tuple[int, T]] = []
    for number in range(rounds):
        shift = (number // 2) % len(items) if items else 0
        order = [*items[shift:], *items[:shift]]
        if number % 2:
            order.reverse()
        plan.extend((number, item) for item in order)
    return plan
