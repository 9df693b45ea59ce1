"""A queue of keys for level-triggered reconciling.

A key that is added several times is processed once. A key is never processed twice at the same
time: if it is added while it is being processed, it is processed again afterwards. Changes of specs
go first. Knows nothing about what the keys mean.
"""

from __future__ import annotations

import asyncio
import heapq
import random
from collections.abc import Hashable
from enum import IntEnum
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
FIRST_BACKOFF_SECONDS = 0.5
LONGEST_BACKOFF_SECONDS = 60.0


class Priority(IntEnum):
    """Lower goes first."""

    SPEC = 0
    STATUS = 1
    RESYNC = 2


class WorkQueue(Generic[K]):
    """Keys that are due, delayed, or being processed."""

    def __init__(self) -> None:
        self._due: list[tuple[int, int, K]] = []
        self._pending: dict[K, int] = {}
        self._timers: dict[K, asyncio.TimerHandle] = {}
        self._active: set[K] = set()
        self._again: dict[K, int] = {}
        self._failures: dict[K, int] = {}
        self._not_before: dict[K, float] = {}
        self._counter = 0
        self._news = asyncio.Event()

    def __len__(self) -> int:
        return len(self._pending) + len(self._active)

    def add(self, key: K, priority: Priority, delay: float = 0.0) -> None:
        """Queue `key`, to be processed after `delay` seconds at the earliest.

        A key that failed keeps its pause, unless its spec has changed.
        """
        if priority is Priority.SPEC:
            self._not_before.pop(key, None)
        elif key in self._not_before:
            delay = max(delay, self._not_before[key] - asyncio.get_running_loop().time())
        if delay > 0:
            self._add_later(key, priority, delay)
            return
        timer = self._timers.pop(key, None)
        if timer is not None:
            timer.cancel()
        if key in self._active:
            self._again[key] = min(priority, self._again.get(key, priority))
            return
        if self._pending.get(key, Priority.RESYNC + 1) <= priority:
            return
        self._pending[key] = priority
        self._counter += 1
        heapq.heappush(self._due, (priority, self._counter, key))
        self._news.set()

    def _add_later(self, key: K, priority: Priority, delay: float) -> None:
        if key in self._pending:
            return
        timer, loop = self._timers.get(key), asyncio.get_running_loop()
        if timer is not None:
            # The earlier time counts: a burst of changes must not postpone the work for ever.
            if timer.when() <= loop.time() + delay:
                return
            timer.cancel()
        self._timers[key] = loop.call_later(delay, self._due_now, key, priority)

    def _due_now(self, key: K, priority: Priority) -> None:
        self._timers.pop(key, None)
        self.add(key, priority)

    async def take(self) -> K:
        """Wait for a key that is due and take it; call `done` or `failed` afterwards."""
        while True:
            while self._due:
                priority, _, key = heapq.heappop(self._due)
                if self._pending.get(key) == priority:
                    del self._pending[key]
                    self._active.add(key)
                    return key
            self._news.clear()
            await self._news.wait()

    def done(self, key: K) -> None:
        """Processing `key` succeeded."""
        self._failures.pop(key, None)
        self._not_before.pop(key, None)
        self._release(key)

    def failed(self, key: K, retry_after: float | None = None) -> float:
        """Processing `key` failed: queue it again after a growing pause.

        Returns:
            The pause, in seconds.
        """
        count = self._failures[key] = self._failures.get(key, 0) + 1
        pause = min(FIRST_BACKOFF_SECONDS * 2.0 ** min(count - 1, 20), LONGEST_BACKOFF_SECONDS)
        # Varied, so that what failed together is not retried together.
        pause = max(pause * random.uniform(0.8, 1.2), retry_after or 0.0)  # noqa: S311
        self._not_before[key] = asyncio.get_running_loop().time() + pause
        self._release(key)
        self.add(key, Priority.STATUS, pause)
        return pause

    def failures(self, key: K) -> int:
        """How often in a row processing `key` has failed."""
        return self._failures.get(key, 0)

    def forget(self, key: K) -> None:
        """Remove `key` from the queue and forget its failures."""
        self._pending.pop(key, None)
        self._failures.pop(key, None)
        self._again.pop(key, None)
        self._not_before.pop(key, None)
        timer = self._timers.pop(key, None)
        if timer is not None:
            timer.cancel()

    def _release(self, key: K) -> None:
        self._active.discard(key)
        again = self._again.pop(key, None)
        if again is not None:
            self.add(key, Priority(again))
