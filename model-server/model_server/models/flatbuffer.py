"""Reads FlatBuffers by field number, without generated code and with every access checked.

Importing the generated reader for TFLite's schema takes 0.4 s, half of the server's startup time.
"""

import struct
from collections.abc import Iterator

_MOST_ITEMS = 65_536


class Table:
    """One FlatBuffers table. Reading a damaged table raises `struct.error`."""

    def __init__(self, data: bytes, position: int) -> None:
        self._data = data
        self._position = position
        self._vtable = position - _unpack("<i", data, position)

    @classmethod
    def root(cls, data: bytes) -> "Table":
        """Returns the root table of a buffer."""
        return cls(data, _unpack("<I", data, 0))

    def _field(self, number: int) -> int:
        """Returns the absolute position of a field's value; 0 if absent."""
        size = _unpack("<H", self._data, self._vtable)
        slot = 4 + 2 * number
        offset = _unpack("<H", self._data, self._vtable + slot) if slot < size else 0
        return self._position + offset if offset else 0

    def number(self, field: int, form: str) -> int:
        """Reads a scalar field with the given `struct` format; returns 0 if absent."""
        at = self._field(field)
        return _unpack(form, self._data, at) if at else 0

    def table(self, field: int) -> "Table | None":
        """Reads a table field; returns None if absent."""
        at = self._field(field)
        return Table(self._data, at + _unpack("<I", self._data, at)) if at else None

    def _vector(self, field: int) -> tuple[int, int]:
        """Returns the position of the first element and the number of elements."""
        at = self._field(field)
        if not at:
            return 0, 0
        start = at + _unpack("<I", self._data, at)
        return start + 4, _unpack("<I", self._data, start)

    def tables(self, field: int) -> Iterator["Table"]:
        """Yields the elements of a field that is a vector of tables."""
        start, count = self._vector(field)
        for index in range(min(count, _MOST_ITEMS)):
            at = start + 4 * index
            yield Table(self._data, at + _unpack("<I", self._data, at))

    def floats(self, field: int) -> tuple[float, ...]:
        """Reads a field that is a vector of floats."""
        return self._numbers(field, "f")

    def integers(self, field: int) -> tuple[int, ...]:
        """Reads a field that is a vector of 32-bit integers."""
        return self._numbers(field, "i")

    def longs(self, field: int) -> tuple[int, ...]:
        """Reads a field that is a vector of 64-bit integers."""
        return self._numbers(field, "q")

    def _numbers(self, field: int, kind: str) -> tuple[int, ...]:
        start, count = self._vector(field)
        return struct.unpack_from(f"<{min(count, _MOST_ITEMS)}{kind}", self._data, start)

    def raw(self, field: int) -> bytes:
        """Reads a field that is a string or a vector of bytes."""
        start, count = self._vector(field)
        return bytes(self._data[start : start + count])


def _unpack(form: str, data: bytes, at: int) -> int:
    if at < 0:  # struct would count from the end
        raise struct.error("offset before the start")
    value: int = struct.unpack_from(form, data, at)[0]
    return value
