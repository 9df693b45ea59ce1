"""One turn of the paired benchmark, and the order of turns. Pure."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class PairedTurn:
    """A contestant between two turns of the bare engine.

    Attributes:
        case: What was asked, and by how many clients.
        round: Counts from 0.
        contestant: Who.
        images_per_second: By the clock.
        cpu_ms: CPU milliseconds of its processes for an image.
        raw_before: Images per second of the bare engine just before.
        raw_after: The same just after.
        raw_cpu_ms: CPU milliseconds of the bare engine for an image, both turns together.
        others_busy: The share of all cores' time that the rest of the machine took meanwhile.
    """

    case: str
    round: int
    contestant: str
    images_per_second: float
    cpu_ms: float
    raw_before: float
    raw_after: float
    raw_cpu_ms: float
    others_busy: float

    @property
    def speed_to_raw(self) -> float:
        """Images per second, divided by the bare engine's beside it."""
        return self.images_per_second / math.sqrt(self.raw_before * self.raw_after)

    @property
    def thrift_to_raw(self) -> float:
        """The bare engine's CPU time for an image, divided by the contestant's."""
        return self.raw_cpu_ms / self.cpu_ms


def order(contestants: Sequence[str], rounds: int, seed: int) -> list[tuple[int, str]]:
    """Every contestant once in each round, in an order drawn anew for each.

    Raises:
        ValueError: Fewer than one round.
    """
    if rounds < 1:
        raise ValueError(f"{rounds} rounds: at least one is needed")
    drawn = random.Random(seed)
    plan: list[tuple[int, str]] = []
    for number in range(rounds):
        names = list(contestants)
        drawn.shuffle(names)
        plan.extend((number, name) for name in names)
    return plan
