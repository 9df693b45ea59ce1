"""Takes turns: whatever happens to one contestant becomes its row and never the run's end.

A turn that an earlier run has already taken is not taken again. It must not know what is measured.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from bench.progress import Progress
from bench.record import ERROR, TURN, Results, Row

# Enough of a traceback's last words or of a log to see what is wrong.
_KEPT = 800
T = TypeVar("T")


@dataclass(frozen=True)
class Turn:
    """All that is measured of one contestant from its start to its stop.

    Attributes:
        text: What a person reads meanwhile.
        seconds: How long it should take.
        common: The fields that all its rows share; ``bench`` and ``contestant`` among them.
    """

    text: str
    seconds: float
    common: dict[str, Any] = field(default_factory=dict)


class Taker:
    """Takes turns, writes how each ended and tells a person.

    Args:
        results: Takes the rows.
        progress: Tells a person.
    """

    def __init__(self, results: Results, progress: Progress) -> None:
        self._results = results
        self._progress = progress

    def pending(self, turn: Turn) -> bool:
        """Whether the turn is still to be taken."""
        return not self._results.has_turn(turn.common)

    def add(self, turn: Turn, **values: Any) -> Row:
        """Add a row of this turn."""
        return self._results.add(**turn.common, **values)

    def take(self, turn: Turn, work: Callable[[], None]) -> None:
        """Do the work unless an earlier run has; a failure becomes a row with its reason."""
        if not self.pending(turn):
            self._progress.skip(turn.seconds)
            return
        self._progress.step(turn.text, turn.seconds)
        begun = time.monotonic()
        self.attempt(turn, {}, work)
        self.add(turn, kind=TURN, seconds=round(time.monotonic() - begun, 1))

    def attempt(self, turn: Turn, about: Mapping[str, str], work: Callable[[], T]) -> T | None:
        """A part of a turn: what the work gives, or None when it failed, which becomes a row.

        A person's interrupt, or any other end of the whole program, passes through.
        """
        try:
            return work()
        except Exception as error:  # noqa: BLE001 (peers fail in every way there is)
            reason = f"{type(error).__name__}: {error}"
            self.add(turn, kind=ERROR, **about, error=reason[:_KEPT])
            self._progress.say(f"{turn.common['contestant']} failed: {reason[:300]}")
            return None
