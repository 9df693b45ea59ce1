"""Why a goal is missed: written by people, held against the figures they were written for. Pure.

A reason explains one measured ratio. When the goal is met meanwhile, or the ratio has moved, the
reason is stale: it must be looked at again, not carried along.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bench.record import Goal

# How far a ratio may move, as a share of itself, before its reason must be looked at again. Runs
# on one machine differ by less; what changes it more has another cause.
TOLERANCE = 0.15


@dataclass(frozen=True)
class Reason:
    """One entry of ``reasons.toml``.

    Attributes:
        ratio: What was measured when it was written.
        text: What costs, by which profile one sees it, and what would be needed.
    """

    ratio: float
    text: str


def parse(text: str) -> dict[str, Reason]:
    """The reasons by the goal's name.

    Raises:
        ValueError: An entry lacks its ratio or its text, or has something else.
    """
    found = {}
    for name, entry in tomllib.loads(text).items():
        if not isinstance(entry, dict) or entry.keys() != {"ratio", "reason"}:
            raise ValueError(f"{name!r}: an entry has a ratio and a reason, and nothing else")
        words = " ".join(str(entry["reason"]).split())
        if len(words) < 40:
            raise ValueError(f"{name!r}: the reason {words!r} explains nothing")
        found[name] = Reason(float(entry["ratio"]), words)
    return found


def problems(goals: Sequence[Goal], reasons: Mapping[str, Reason]) -> list[str]:
    """What is wrong with the reasons for these goals, one line each; nothing when all is well."""
    known = {goal["name"] for goal in goals}
    found = [
        f"there is no goal {name!r}: remove its reason or correct the name"
        for name in reasons
        if name not in known
    ]
    for goal in goals:
        reason = reasons.get(goal["name"])
        if goal["met"] is False and reason is None:
            found.append(f"{goal['name']}: missed with {goal['ratio']}, and no reason is given")
        if reason is None or goal["met"] is None:
            continue
        if goal["met"]:
            found.append(f"{goal['name']}: it is met, so its reason is stale")
        elif _moved(goal["ratio"] or 0.0, reason.ratio):
            found.append(
                f"{goal['name']}: the reason is for {reason.ratio:g}, but {goal['ratio']} was "
                "measured: look at it again"
            )
    return found


def _moved(now: float, then: float) -> bool:
    return abs(now - then) > TOLERANCE * max(abs(now), abs(then))
