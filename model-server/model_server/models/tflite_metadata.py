"""Reads the TFLite Metadata of a .tflite file: normalization and label files.

The metadata is a second FlatBuffer inside the model's, and the label files are in a ZIP archive
appended to the file. Layout: `schema.fbs` of TensorFlow Lite and `metadata_schema.fbs` of TFLite
Support. Fields are read by number, because importing the generated reader takes 0.4 s, half of the
server's startup time. Damaged metadata is ignored: the model itself may still run.
"""

import mmap
import struct
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from model_server.models.flatbuffer import Table
from model_server.models.label_files import parse_labels
from model_server.models.labels import Labels

_NAME = b"TFLITE_METADATA"
_MAX_LABEL_BYTES = 8 * 1024 * 1024
# Field numbers and enum values in the two schemas.
_MODEL_BUFFERS, _MODEL_METADATA = 4, 6
_METADATA_NAME, _METADATA_BUFFER = 0, 1
_ROOT_DESCRIPTION, _ROOT_SUBGRAPHS, _ROOT_FILES = 1, 3, 6
_SUBGRAPH_INPUTS, _SUBGRAPH_OUTPUTS, _SUBGRAPH_FILES = 2, 3, 4
_TENSOR_PROCESS_UNITS, _TENSOR_FILES = 4, 6
_UNIT_TYPE, _UNIT_OPTIONS, _NORMALIZATION = 0, 1, 1
_FILE_NAME, _FILE_TYPE, _LABEL_TYPES = 0, 2, (2, 3)


@dataclass(frozen=True)
class TfliteMetadata:
    """The metadata that the server uses.

    Attributes:
        mean: Per-channel mean of the input normalization (x - mean) / std; empty if not given.
        std: Per-channel deviation of the input normalization; see `mean`.
        labels: Labels of the first output that has any, or None.
        description: Description of the model; may be empty.
    """

    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    labels: Labels | None = None
    description: str = ""


def read_metadata(path: Path) -> TfliteMetadata:
    """Reads the metadata of a .tflite file; all fields are empty if there is none it can read."""
    try:
        with (
            path.open("rb") as file,
            mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content,
        ):
            buffer = _metadata_buffer(content)  # type: ignore[arg-type]  # reads like bytes
        return _parse(buffer, path) if buffer else TfliteMetadata()
    except (
        *(OSError, ValueError, LookupError, RuntimeError, NotImplementedError, EOFError),
        *(struct.error, zlib.error, zipfile.BadZipFile),
    ):
        return TfliteMetadata()


def _metadata_buffer(content: bytes) -> bytes:
    model = Table.root(content)
    for entry in model.tables(_MODEL_METADATA):
        if entry.raw(_METADATA_NAME) == _NAME:
            wanted = entry.number(_METADATA_BUFFER, "<I")
            for index, buffer in enumerate(model.tables(_MODEL_BUFFERS)):
                if index == wanted:
                    return buffer.raw(0)
    return b""


def _parse(buffer: bytes, path: Path) -> TfliteMetadata:
    root = Table.root(buffer)
    subgraph = next(root.tables(_ROOT_SUBGRAPHS), None)
    mean, std = _normalization(subgraph) if subgraph else ((), ())
    return TfliteMetadata(
        mean=mean,
        std=std,
        labels=_labels(root, subgraph, path),
        description=root.raw(_ROOT_DESCRIPTION).decode("utf-8", "replace"),
    )


def _normalization(subgraph: Table) -> tuple[tuple[float, ...], tuple[float, ...]]:
    for tensor in subgraph.tables(_SUBGRAPH_INPUTS):
        for unit in tensor.tables(_TENSOR_PROCESS_UNITS):
            options = unit.table(_UNIT_OPTIONS)
            if unit.number(_UNIT_TYPE, "<B") == _NORMALIZATION and options:
                mean, std = options.floats(0), options.floats(1)
                if mean and std and all(std):
                    return mean, std
    return (), ()


def _labels(root: Table, subgraph: Table | None, path: Path) -> Labels | None:
    names = list(_label_files(root, subgraph))
    if not names:
        return None
    with zipfile.ZipFile(path) as archive:
        there = set(archive.namelist())
        for name in names:
            if name in there and archive.getinfo(name).file_size <= _MAX_LABEL_BYTES:
                return parse_labels(archive.read(name).decode("utf-8-sig"), "")
    return None


def _label_files(root: Table, subgraph: Table | None) -> Iterator[str]:
    holders: list[Iterator[Table]] = []
    if subgraph:
        holders += [output.tables(_TENSOR_FILES) for output in subgraph.tables(_SUBGRAPH_OUTPUTS)]
        holders.append(subgraph.tables(_SUBGRAPH_FILES))
    holders.append(root.tables(_ROOT_FILES))
    for files in holders:
        for file in files:
            if file.number(_FILE_TYPE, "<b") in _LABEL_TYPES:
                yield file.raw(_FILE_NAME).decode("utf-8")
