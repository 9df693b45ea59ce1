"""Objects that were observed before their InferenceService.

Each kind has its own watch, so a child may be announced before its owner. Only its name is kept
until the InferenceService is known and the object can be read. Any user can label an object, so the
number of names is bounded; the resync finds the ones that did not fit. Pure.
"""

from __future__ import annotations

from inference_operator.objects import Key, ObjectRef

MAXIMUM = 5000
MAXIMUM_PER_KEY = 64


class Missed:
    """References by InferenceService; the oldest are dropped when there are too many."""

    def __init__(self) -> None:
        self._refs: dict[Key, dict[ObjectRef, None]] = {}
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def add(self, key: Key, ref: ObjectRef) -> None:
        """Record one object."""
        refs = self._refs.setdefault(key, {})
        if ref in refs or len(refs) >= MAXIMUM_PER_KEY:
            return
        refs[ref] = None
        self._count += 1
        while self._count > MAXIMUM:
            self.take(next(iter(self._refs)))

    def discard(self, key: Key, ref: ObjectRef) -> None:
        """Drop one object."""
        refs = self._refs.get(key)
        if refs is not None and ref in refs:
            del refs[ref]
            self._count -= 1
            if not refs:
                del self._refs[key]

    def take(self, key: Key) -> tuple[ObjectRef, ...]:
        """Remove and return all objects of `key`."""
        refs = self._refs.pop(key, {})
        self._count -= len(refs)
        return tuple(refs)
