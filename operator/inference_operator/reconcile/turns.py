"""In which order due keys get their turn, so that nobody waits behind somebody else's many.

Between priorities turns are shared in fixed proportions: most go to the most urgent, none is left
out. Within a priority groups (namespaces) take turns, and within a group who came first goes first.
Knows nothing of time, workers or what the keys stand for.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
# Priorities, most urgent first; whoever has nothing due passes the turn on.
_SEQUENCE = (0, 0, 1, 0, 1, 0, 2)


class Turns(Generic[K]):
    """Due keys by priority and group.

    Args:
        group: The group of a key.
    """

    def __init__(self, group: Callable[[K], Hashable]) -> None:
        self._group = group
        self._due: tuple[OrderedDict[Hashable, OrderedDict[K, None]], ...] = tuple(
            OrderedDict() for _ in sorted(set(_SEQUENCE))
        )
        self._turn = 0

    def add(self, key: K, priority: int) -> None:
        """Let a key wait; one that waits already keeps its place."""
        self._due[priority].setdefault(self._group(key), OrderedDict())[key] = None

    def remove(self, key: K, priority: int) -> None:
        """Let a key wait no longer."""
        due, group = self._due[priority], self._group(key)
        del due[group][key]
        if not due[group]:
            del due[group]

    def take(self, admits: Callable[[Hashable], bool]) -> K | None:
        """The key whose turn it is, of a group that `admits` agrees to; None when there is none."""
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
        # To the end of the line, if it has more.
        due.move_to_end(group)
        self.remove(key, priority)
        return key
