"""Who is ahead of whom, as far as the intervals say. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from bench.paired.turns import PairedTurn
from bench.stats import Interval, ratio_interval

CONFIDENCE = 0.95
Figure = Callable[[PairedTurn], float]


def speed(turn: PairedTurn) -> float:
    """What is compared by the clock."""
    return turn.speed_to_raw


def thrift(turn: PairedTurn) -> float:
    """What is compared in CPU time: busy neighbours move it less."""
    return turn.thrift_to_raw


def to_raw(turns: Sequence[PairedTurn], name: str, figure: Figure) -> Interval:
    """A contestant against the bare engine.

    Raises:
        ValueError: It took no turn.
    """
    return ratio_interval([figure(turn) for turn in turns if turn.contestant == name], CONFIDENCE)


def to_other(
    turns: Sequence[PairedTurn],
    name: str,
    other: str,
    figure: Figure,
    confidence: float = CONFIDENCE,
) -> Interval:
    """One contestant against another: the ratios of the rounds that both took part in.

    Raises:
        ValueError: There is no such round.
    """
    ours = {turn.round: figure(turn) for turn in turns if turn.contestant == name}
    theirs = {turn.round: figure(turn) for turn in turns if turn.contestant == other}
    both = sorted(ours.keys() & theirs.keys())
    return ratio_interval([ours[number] / theirs[number] for number in both], confidence)


def place(
    turns: Sequence[PairedTurn], name: str, rivals: Sequence[str], figure: Figure = speed
) -> str:
    """`first`, `behind NAME, ...` or `level with NAME, ...`; empty without rivals.

    Each interval is made wider by the number of rivals (Bonferroni), so that all of them together
    are right as often as one would be.
    """
    if not rivals:
        return ""
    confidence = 1 - (1 - CONFIDENCE) / len(rivals)
    against = {rival: to_other(turns, name, rival, figure, confidence) for rival in rivals}
    behind = [rival for rival, interval in against.items() if interval.below_one]
    level = [
        rival
        for rival, interval in against.items()
        if not interval.below_one and not interval.above_one
    ]
    if behind:
        return f"behind {', '.join(behind)}"
    return f"level with {', '.join(level)}" if level else "first"
