"""Says what is being measured, how far the run is and when it should be done.

It must not decide anything: losing every line of it changes no result.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import TextIO


def duration(seconds: float) -> str:
    """A number of seconds as a person would say it: ``42 s``, ``3 min``, ``1 h 05 min``."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60:02d} min"


class Progress:
    """Counts steps of known expected length and prints one line for each.

    Args:
        stream: Where the lines go; standard error by default, so that results can be piped.
        clock: Seconds since any fixed moment.
    """

    def __init__(
        self, stream: TextIO | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._stream = stream or sys.stderr
        self._clock = clock
        self._started = clock()
        self._expected = 0.0
        self._passed = 0.0

    def expect(self, seconds: float) -> None:
        """Add steps that should take this long in all."""
        self._expected += seconds

    def step(self, text: str, seconds: float = 0.0) -> None:
        """Announce a step; ``seconds`` of the expected time will have passed when it is done."""
        self._stream.write(f"[{self._eta():>12}] {text}\n")
        self._stream.flush()
        self._passed += seconds

    def skip(self, seconds: float) -> None:
        """Leave out a step that an earlier run has done."""
        self._expected -= seconds

    def say(self, text: str) -> None:
        """Print something that is no step."""
        self._stream.write(f"{'':14} {text}\n")
        self._stream.flush()

    def _eta(self) -> str:
        left = self._expected - self._passed
        if left <= 0:
            return ""
        elapsed = self._clock() - self._started
        # The plan's own figures until a tenth is done, then the pace of this machine.
        if self._passed > 0.1 * self._expected:
            left *= elapsed / self._passed
        return f"{duration(left)} left"
