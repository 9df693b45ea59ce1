"""Objects that were seen before their InferenceService was.

Each kind has a watch of its own, so a child may be announced before its owner. Only its name is
kept, until the InferenceService is known and the object can be read. Anybody can label an object,
so the number of names is bounded; the resync finds what did not fit. Pure.
"""

from __future__ import annotations

from inference_operator.objects import Key, ObjectRef

MAXIMUM = 5000
MAXIMUM_PER_KEY = 64


class Missed:
    """References by InferenceService; when there are too many, the oldest are dropped."""

    def __init__(self) -> None:
        self._refs: dict[Key, dict[ObjectRef, None]] = {}
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def add(self, key: Key, ref: ObjectRef) -> None:
        """Note one object."""
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
        """All objects of `key`, which are no longer noted afterwards."""
        refs = self._refs.pop(key, {})
        self._count -= len(refs)
        return tuple(refs)
