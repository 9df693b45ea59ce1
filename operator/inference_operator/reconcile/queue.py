"""A queue of keys for level-triggered reconciling.

A key added several times is processed once; a key added while it is being processed is processed
again afterwards, never concurrently. `turns` decides which of several due keys is next. Keys are
opaque.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import Callable, Hashable
from enum import IntEnum
from typing import Generic, TypeVar

from inference_operator.reconcile.turns import Turns

K = TypeVar("K", bound=Hashable)
FIRST_BACKOFF_SECONDS = 0.5
LONGEST_BACKOFF_SECONDS = 60.0


class Priority(IntEnum):
    """Priority of a key; a lower value gets more turns."""

    SPEC = 0
    STATUS = 1
    RESYNC = 2


class WorkQueue(Generic[K]):
    """Keys that are due, delayed, or being processed.

    Args:
        group: Returns the group of a key; groups take turns.
        most: Maximum number of keys of one group processed at the same time, so that slow
            responses for one group leave workers for the others.
    """

    def __init__(
        self, group: Callable[[K], Hashable] = lambda key: key, most: int | None = None
    ) -> None:
        self._group = group
        self._most = most
        self._due: Turns[K] = Turns(group)
        self._due_since: dict[K, float] = {}
        self._working: Counter[Hashable] = Counter()
        self._pending: dict[K, int] = {}
        self._timers: dict[K, asyncio.TimerHandle] = {}
        self._active: set[K] = set()
        self._again: dict[K, int] = {}
        self._failures: dict[K, int] = {}
        self._not_before: dict[K, float] = {}
        self._news = asyncio.Event()

    def __len__(self) -> int:
        return len(self._pending) + len(self._active)

    def oldest_s(self) -> float:
        """Seconds for which the longest-waiting key has been due; 0 if no key is due."""
        if not self._due_since:
            return 0.0
        return time.monotonic() - min(self._due_since.values())

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
        self._unqueue(key)
        self._pending[key] = priority
        self._due.add(key, priority)
        self._due_since.setdefault(key, time.monotonic())
        self._news.set()

    def _unqueue(self, key: K) -> None:
        priority = self._pending.pop(key, None)
        if priority is not None:
            self._due.remove(key, priority)

    def _add_later(self, key: K, priority: Priority, delay: float) -> None:
        if key in self._pending:
            return
        timer, loop = self._timers.get(key), asyncio.get_running_loop()
        if timer is not None:
            # The earlier time wins: a burst of changes must not postpone the work forever.
            if timer.when() <= loop.time() + delay:
                return
            timer.cancel()
        self._timers[key] = loop.call_later(delay, self._due_now, key, priority)

    def _due_now(self, key: K, priority: Priority) -> None:
        self._timers.pop(key, None)
        self.add(key, priority)

    async def take(self) -> K:
        """Wait for a due key and take it; call `done` or `failed` afterwards."""
        while True:
            key = self._due.take(self._admits)
            if key is not None:
                del self._pending[key], self._due_since[key]
                self._active.add(key)
                self._working[self._group(key)] += 1
                return key
            self._news.clear()
            await self._news.wait()

    def _admits(self, group: Hashable) -> bool:
        return self._most is None or self._working[group] < self._most

    def done(self, key: K) -> None:
        """Record that processing `key` succeeded."""
        self._failures.pop(key, None)
        self._not_before.pop(key, None)
        self._release(key)

    def failed(self, key: K, retry_after: float | None = None) -> float:
        """Record that processing `key` failed, and requeue it after a growing pause.

        Returns:
            The pause, in seconds.
        """
        count = self._failures[key] = self._failures.get(key, 0) + 1
        pause = min(FIRST_BACKOFF_SECONDS * 2.0 ** min(count - 1, 20), LONGEST_BACKOFF_SECONDS)
        # Jitter, so that keys that failed together are not retried together.
        pause = max(pause * random.uniform(0.8, 1.2), retry_after or 0.0)  # noqa: S311
        self._not_before[key] = asyncio.get_running_loop().time() + pause
        self._release(key)
        self.add(key, Priority.STATUS, pause)
        return pause

    def failures(self, key: K) -> int:
        """Number of consecutive failures of `key`."""
        return self._failures.get(key, 0)

    def forget(self, key: K) -> None:
        """Drop the schedule and the failure count of `key`."""
        self._unqueue(key)
        self._due_since.pop(key, None)
        self._failures.pop(key, None)
        self._again.pop(key, None)
        self._not_before.pop(key, None)
        timer = self._timers.pop(key, None)
        if timer is not None:
            timer.cancel()

    def _release(self, key: K) -> None:
        if key in self._active:
            self._active.discard(key)
            self._working -= Counter([self._group(key)])
            # Other keys of the group may have been waiting for this one.
            self._news.set()
        again = self._again.pop(key, None)
        if again is not None:
            self.add(key, Priority(again))
