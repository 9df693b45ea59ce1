"""Reads what a .tflite file says of itself: normalization and label files (TFLite Metadata).

The metadata is a second FlatBuffer inside the model's, and the label files are a ZIP appended to
it. Layout: `schema.fbs` of TensorFlow Lite and `metadata_schema.fbs` of TFLite Support. It is read
here by field number, because the generated reader takes 0.4 s to import, which is half of a
server's whole start. Damaged metadata is as good as none: the model itself may still run.
"""

import mmap
import struct
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from model_server.models.labels import Labels, parse_labels

_NAME = b"TFLITE_METADATA"
_MAX_LABEL_BYTES = 8 * 1024 * 1024
_MAX_ITEMS = 4096
# Numbers of fields and enum values in the two schemas.
_MODEL_BUFFERS, _MODEL_METADATA = 4, 6
_METADATA_NAME, _METADATA_BUFFER = 0, 1
_ROOT_DESCRIPTION, _ROOT_SUBGRAPHS, _ROOT_FILES = 1, 3, 6
_SUBGRAPH_INPUTS, _SUBGRAPH_OUTPUTS, _SUBGRAPH_FILES = 2, 3, 4
_TENSOR_PROCESS_UNITS, _TENSOR_FILES = 4, 6
_UNIT_TYPE, _UNIT_OPTIONS, _NORMALIZATION = 0, 1, 1
_FILE_NAME, _FILE_TYPE, _LABEL_TYPES = 0, 2, (2, 3)


@dataclass(frozen=True)
class TfliteMetadata:
    """What is of use to a server.

    Attributes:
        mean: Input normalization (x - mean) / std per channel; empty when not told.
        std: See `mean`.
        labels: Of the first output that has some, or None.
        description: Of the model, perhaps empty.
    """

    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    labels: Labels | None = None
    description: str = ""


class _Table:
    """One FlatBuffers table; every access checks its bounds (`struct.error` otherwise)."""

    def __init__(self, data: bytes, position: int) -> None:
        self._data = data
        self._position = position
        self._vtable = position - _unpack("<i", data, position)

    @classmethod
    def root(cls, data: bytes) -> "_Table":
        return cls(data, _unpack("<I", data, 0))

    def _field(self, number: int) -> int:
        """Absolute position of a field's value, 0 when absent."""
        size = _unpack("<H", self._data, self._vtable)
        slot = 4 + 2 * number
        offset = _unpack("<H", self._data, self._vtable + slot) if slot < size else 0
        return self._position + offset if offset else 0

    def number(self, field: int, form: str) -> int:
        at = self._field(field)
        return _unpack(form, self._data, at) if at else 0

    def table(self, field: int) -> "_Table | None":
        at = self._field(field)
        return _Table(self._data, at + _unpack("<I", self._data, at)) if at else None

    def _vector(self, field: int) -> tuple[int, int]:
        """Position of the first element, and how many there are."""
        at = self._field(field)
        if not at:
            return 0, 0
        start = at + _unpack("<I", self._data, at)
        return start + 4, _unpack("<I", self._data, start)

    def tables(self, field: int) -> Iterator["_Table"]:
        start, count = self._vector(field)
        for index in range(min(count, _MAX_ITEMS)):
            at = start + 4 * index
            yield _Table(self._data, at + _unpack("<I", self._data, at))

    def floats(self, field: int) -> tuple[float, ...]:
        start, count = self._vector(field)
        return struct.unpack_from(f"<{min(count, _MAX_ITEMS)}f", self._data, start)

    def raw(self, field: int) -> bytes:
        start, count = self._vector(field)
        return bytes(self._data[start : start + count])


def _unpack(form: str, data: bytes, at: int) -> int:
    if at < 0:  # struct would count from the end
        raise struct.error("offset before the start")
    value: int = struct.unpack_from(form, data, at)[0]
    return value


def read_metadata(path: Path) -> TfliteMetadata:
    """The metadata of a .tflite file; all fields empty when it has none that can be read."""
    try:
        with (
            path.open("rb") as file,
            mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content,
        ):
            buffer = _metadata_buffer(content)  # type: ignore[arg-type]  # reads like bytes
        return _parse(buffer, path) if buffer else TfliteMetadata()
    except (OSError, ValueError, struct.error, zipfile.BadZipFile):
        return TfliteMetadata()


def _metadata_buffer(content: bytes) -> bytes:
    model = _Table.root(content)
    for entry in model.tables(_MODEL_METADATA):
        if entry.raw(_METADATA_NAME) == _NAME:
            wanted = entry.number(_METADATA_BUFFER, "<I")
            for index, buffer in enumerate(model.tables(_MODEL_BUFFERS)):
                if index == wanted:
                    return buffer.raw(0)
    return b""


def _parse(buffer: bytes, path: Path) -> TfliteMetadata:
    root = _Table.root(buffer)
    subgraph = next(root.tables(_ROOT_SUBGRAPHS), None)
    mean, std = _normalization(subgraph) if subgraph else ((), ())
    return TfliteMetadata(
        mean=mean,
        std=std,
        labels=_labels(root, subgraph, path),
        description=root.raw(_ROOT_DESCRIPTION).decode("utf-8", "replace"),
    )


def _normalization(subgraph: _Table) -> tuple[tuple[float, ...], tuple[float, ...]]:
    for tensor in subgraph.tables(_SUBGRAPH_INPUTS):
        for unit in tensor.tables(_TENSOR_PROCESS_UNITS):
            options = unit.table(_UNIT_OPTIONS)
            if unit.number(_UNIT_TYPE, "<B") == _NORMALIZATION and options:
                mean, std = options.floats(0), options.floats(1)
                if mean and std and all(std):
                    return mean, std
    return (), ()


def _labels(root: _Table, subgraph: _Table | None, path: Path) -> Labels | None:
    names = list(_label_files(root, subgraph))
    if not names:
        return None
    with zipfile.ZipFile(path) as archive:
        for name in names:
            if name in archive.namelist() and archive.getinfo(name).file_size <= _MAX_LABEL_BYTES:
                return parse_labels(archive.read(name).decode("utf-8-sig"), "")
    return None


def _label_files(root: _Table, subgraph: _Table | None) -> Iterator[str]:
    holders: list[Iterator[_Table]] = []
    if subgraph:
        holders += [output.tables(_TENSOR_FILES) for output in subgraph.tables(_SUBGRAPH_OUTPUTS)]
        holders.append(subgraph.tables(_SUBGRAPH_FILES))
    holders.append(root.tables(_ROOT_FILES))
    for files in holders:
        for file in files:
            if file.number(_FILE_TYPE, "<b") in _LABEL_TYPES:
                yield file.raw(_FILE_NAME).decode("utf-8")
