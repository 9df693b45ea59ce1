"""Fair ordering of due keys, so that one group's backlog does not delay the others.

Priorities share turns in fixed proportions: the most urgent gets the most, and none starves. Within
a priority, groups (namespaces) take turns; within a group, keys are first in, first out.
Independent of time, workers and the meaning of keys.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
# Sequence of priorities, 0 being the most urgent; one without a due key passes its turn on.
_SEQUENCE = (0, 0, 1, 0, 1, 0, 2)


class Turns(Generic[K]):
    """Due keys by priority and group.

    Args:
        group: Returns the group of a key.
    """

    def __init__(self, group: Callable[[K], Hashable]) -> None:
        self._group = group
        self._due: tuple[OrderedDict[Hashable, OrderedDict[K, None]], ...] = tuple(
            OrderedDict() for _ in sorted(set(_SEQUENCE))
        )
        self._turn = 0

    def add(self, key: K, priority: int) -> None:
        """Add a waiting key; one that is already waiting keeps its place."""
        self._due[priority].setdefault(self._group(key), OrderedDict())[key] = None

    def remove(self, key: K, priority: int) -> None:
        """Remove a waiting key."""
        due, group = self._due[priority], self._group(key)
        del due[group][key]
        if not due[group]:
            del due[group]

    def take(self, admits: Callable[[Hashable], bool]) -> K | None:
        """Take the next key of a group that `admits` accepts; None if there is none."""
        first = _SEQUENCE[self._turn]
        for priority in (first, *(one for one in range(len(self._due)) if one != first)):
            key = self._take(priority, admits)
            if key is not None:
                self._turn = (self._turn + 1) % len(_SEQUENCE)
                return key
        return None

    def _take(self, priority: int, admits: Callable[[Hashable], bool]) -> K | None:
        due = self._due[priority]
        group = next((one for one in due if admits(one)), None)
        if group is None:
            return None
        key = next(iter(due[group]))
        # Move the group to the end of the line if it has more keys.
        due.move_to_end(group)
        self.remove(key, priority)
        return key
