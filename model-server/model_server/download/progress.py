"""Logs a download's progress every few seconds: percentage, rate and time left.

A log line cannot be redrawn, so lines are infrequent, but frequent enough to show in `kubectl logs`
that the download is alive.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

_LOG = logging.getLogger("model_server.download")
INTERVAL_SECONDS = 5.0
Clock = Callable[[], float]


class Progress:
    """Counts one item's bytes and logs them periodically.

    Args:
        name: Name of the item, for the log.
        total: Size of the item in bytes, or None if unknown.
        already: Bytes kept from an earlier attempt; they count as done but not towards the rate.
        clock: Monotonic clock in seconds.
    """

    def __init__(
        self, name: str, total: int | None, already: int = 0, clock: Clock = time.monotonic
    ) -> None:
        self._name, self._total, self._clock = name, total, clock
        self._done, self._already = already, already
        self._start = self._last = clock()

    def add(self, count: int) -> None:
        """Counts received bytes and logs if the interval has passed."""
        self._done += count
        now = self._clock()
        if now - self._last >= INTERVAL_SECONDS:
            self._last = now
            _LOG.info("%s: %s", self._name, self.describe(now))

    def describe(self, now: float) -> str:
        """Formats the progress, such as `34 % of 120.0 MB, 12.3 MB/s, 6.4 s left`."""
        rate = (self._done - self._already) / max(now - self._start, 1e-9)
        if not self._total:
            return f"{amount(self._done)}, {amount(rate)}/s"
        percent = min(100, int(100 * self._done / self._total))
        text = f"{percent} % of {amount(self._total)}, {amount(rate)}/s"
        if rate > 0 and self._total > self._done:
            text += f", {duration((self._total - self._done) / rate)} left"
        return text


def amount(count: float) -> str:
    """Formats bytes for people, in powers of 1000: `123 B`, `4.2 MB`."""
    if count < 1000:
        return f"{int(count)} B"
    for unit in ("kB", "MB", "GB"):
        count /= 1000
        if count < 999.95:
            return f"{count:.1f} {unit}"
    return f"{count / 1000:.1f} TB"


def duration(seconds: float) -> str:
    """Formats seconds for people: `0.3 s`, `12 s`, `3 min 20 s`, `2 h 5 min`."""
    whole = round(seconds)
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
