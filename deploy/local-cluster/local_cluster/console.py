"""Console output: one line per step, and a live line for long steps."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

QUIET_SECONDS = 15.0


def say(text: str) -> None:
    """Print a line immediately, even if standard output is a file."""
    print(text, flush=True)


def elapsed(seconds: float) -> str:
    """A duration for display: `12 s`, `3 min 05 s`."""
    whole = int(seconds)
    return f"{whole} s" if whole < 60 else f"{whole // 60} min {whole % 60:02d} s"


class Progress:
    """Shows the progress of a long step: a live line on a terminal, else a line every 15 s."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._started = clock()
        self._shown = self._started
        self._live = sys.stdout.isatty()

    @property
    def seconds(self) -> float:
        """Seconds since the start."""
        return self._clock() - self._started

    def show(self, text: str) -> None:
        """Show the current text, if it is due."""
        now = self._clock()
        if self._live:
            sys.stdout.write(f"\r\033[K  {elapsed(now - self._started)}: {text}")
            sys.stdout.flush()
        elif now - self._shown >= QUIET_SECONDS:
            self._shown = now
            say(f"  {elapsed(now - self._started)}: {text}")

    def close(self) -> None:
        """End the live line."""
        if self._live:
            sys.stdout.write("\r\033[K")
            sys.stdout.flush()
