"""Objects that were seen before their InferenceService was.

Each kind has a watch of its own, so a child may be announced before its owner. Only its name is
kept, until the InferenceService is known and the object can be read. Anybody can label an object,
so the number of names is bounded; the resync finds what did not fit. Pure.
"""

from __future__ import annotations

from inference_operator.objects import Key, ObjectRef

MAXIMUM_KEYS = 256
MAXIMUM_PER_KEY = 32


class Missed:
    """References by InferenceService; the oldest ones make room for new ones."""

    def __init__(self) -> None:
        self._refs: dict[Key, dict[ObjectRef, None]] = {}

    def __len__(self) -> int:
        return sum(map(len, self._refs.values()))

    def add(self, key: Key, ref: ObjectRef) -> None:
        """Note one object."""
        refs = self._refs.setdefault(key, {})
        if len(refs) < MAXIMUM_PER_KEY:
            refs[ref] = None
        if len(self._refs) > MAXIMUM_KEYS:
            del self._refs[next(iter(self._refs))]

    def discard(self, key: Key, ref: ObjectRef) -> None:
        """Drop one object."""
        refs = self._refs.get(key)
        if refs is not None:
            refs.pop(ref, None)
            if not refs:
                del self._refs[key]

    def take(self, key: Key) -> tuple[ObjectRef, ...]:
        """All objects of `key`, which are no longer noted afterwards."""
        return tuple(self._refs.pop(key, ()))
