"""Tensors on the wire: the Open Inference Protocol's data types, JSON lists and binary form.

Every shape is checked against the data that came with it before anything is allocated. Sources:
the protocol's `inference_rest.md`, and Triton's `extension_binary_data.md`.
"""

import math
import struct
from collections.abc import Sequence
from itertools import chain
from typing import Any

import numpy as np

from model_server.errors import InvalidRequest, shown
from model_server.models.base import Array
from model_server.models.datatypes import DATATYPES, datatype_of
from model_server.protocols.json_input import decode_base64

_MAX_RANK = 8
# What JSON numbers are in Python.
_NUMBERS = {bool, int, float}
_MAX_ELEMENTS = 1 << 31
_LENGTH = struct.Struct("<I")


def check_shape(shape: object, name: str) -> tuple[int, ...]:
    """A shape from a request.

    Raises:
        InvalidRequest: if it is no list of a few sizes from 0 up.
    """
    if (
        not isinstance(shape, Sequence)
        or isinstance(shape, str)
        or len(shape) > _MAX_RANK
        or not all(isinstance(size, int) and not isinstance(size, bool) for size in shape)
        or not all(0 <= size < _MAX_ELEMENTS for size in shape)
        or math.prod(shape) >= _MAX_ELEMENTS
    ):
        raise InvalidRequest(
            f"tensor {shown(name)}: the shape must be a list of at most {_MAX_RANK} sizes from 0 up"
        )
    return tuple(shape)


def check_datatype(datatype: object, name: str) -> np.dtype[Any]:
    """A data type from a request.

    Raises:
        InvalidRequest: naming those that there are.
    """
    if not isinstance(datatype, str) or datatype not in DATATYPES:
        raise InvalidRequest(
            f"tensor {shown(name)}: datatype {shown(datatype)} is not one of {', '.join(DATATYPES)}"
        )
    return DATATYPES[datatype]


def from_lists(values: object, dtype: np.dtype[Any], name: str) -> Array:
    """Nested or flat JSON lists of numbers as an array of that type.

    Raises:
        InvalidRequest: if they are ragged or nested too deeply, or hold something that the type
            cannot.
    """
    shape: list[int] = []
    level: list[Any] = [values]
    # Level by level, so that NumPy sees nothing but numbers: to it a long text among them would
    # be a reason to make every element as long.
    while list in (kinds := set(map(type, level))):
        lengths = set(map(len, level)) if len(kinds) == 1 else set()
        if len(lengths) != 1:
            raise InvalidRequest(f"tensor {shown(name)}: the lists have different lengths")
        if len(shape) == _MAX_RANK:
            raise InvalidRequest(f"tensor {shown(name)}: the lists are nested too deeply")
        shape += lengths
        level = list(chain.from_iterable(level))
    if not kinds <= _NUMBERS:
        raise _no_value(dtype, name)
    return from_numbers(np.array(level).reshape(shape), dtype, name)


def from_numbers(values: Array, dtype: np.dtype[Any], name: str) -> Array:
    """Numbers of any type as an array of the tensor's type.

    Raises:
        InvalidRequest: if one is not a value of that type. Too large for FP16 is infinite.
    """
    if values.size and not _fits(values, dtype):
        raise _no_value(dtype, name)
    with np.errstate(over="ignore"):
        return values.astype(dtype, copy=False)


def _no_value(dtype: np.dtype[Any], name: str) -> InvalidRequest:
    return InvalidRequest(
        f"tensor {shown(name)}: data has a value that is not a valid {datatype_of(dtype)}"
    )


def _fits(values: Array, dtype: np.dtype[Any]) -> bool:
    if values.dtype.kind not in "biuf":
        return False
    if dtype.kind == "b":
        return values.dtype.kind == "b" or bool(np.isin(values, (0, 1)).all())
    if dtype.kind in "iu":
        limits = np.iinfo(dtype)
        whole = values.dtype.kind != "f"
        return whole and values.min() >= limits.min and bool(values.max() <= limits.max)
    return True


def objects(elements: Sequence[bytes]) -> Array:
    """A BYTES tensor's elements as a one-dimensional array of `bytes` objects."""
    array = np.empty(len(elements), dtype=object)
    array[:] = elements
    return array


def shaped(values: Array, shape: tuple[int, ...], name: str) -> Array:
    """The array in the shape that came with it.

    Raises:
        InvalidRequest: if it has more or fewer elements.
    """
    if values.size != math.prod(shape):
        raise InvalidRequest(
            f"tensor {shown(name)}: shape {list(shape)} needs {math.prod(shape)} elements, but "
            f"{values.size} came"
        )
    return values.reshape(shape)


def strings_from_lists(values: object, name: str, *, base64: bool) -> list[bytes]:
    """Nested or flat JSON lists of strings as bytes, in row-major order.

    Args:
        values: The lists.
        name: Of the tensor, for errors.
        base64: Whether the strings are base64, as pictures in JSON must be; otherwise UTF-8 text.

    Raises:
        InvalidRequest: if something else than strings is in them.
    """
    found: list[bytes] = []
    pending = [values]
    while pending:
        item = pending.pop()
        if isinstance(item, list):
            pending.extend(reversed(item))
        elif isinstance(item, str):
            found.append(decode_base64(item, name) if base64 else item.encode())
        else:
            raise InvalidRequest(f"tensor {shown(name)}: it has a value that is no string")
    return found


def from_binary(data: bytes, dtype: np.dtype[Any], shape: tuple[int, ...], name: str) -> Array:
    """Little-endian, row-major bytes as an array.

    Raises:
        InvalidRequest: if there are more or fewer bytes than the shape needs.
    """
    wanted = math.prod(shape) * dtype.itemsize
    if len(data) != wanted:
        raise InvalidRequest(
            f"tensor {shown(name)}: {list(shape)} of {datatype_of(dtype)} needs {wanted} bytes, "
            f"but {len(data)} came"
        )
    return np.frombuffer(data, dtype.newbyteorder("<")).astype(dtype, copy=False).reshape(shape)


def strings_from_binary(data: bytes, name: str, most: int) -> list[bytes]:
    """Elements of a BYTES tensor: each a 4-byte little-endian length and its bytes.

    Args:
        data: The tensor's bytes.
        name: For errors.
        most: Elements at most.

    Raises:
        InvalidRequest: if a length goes beyond the data, or there are more elements.
    """
    found: list[bytes] = []
    position = 0
    while position < len(data):
        if len(found) >= most:
            raise InvalidRequest(f"tensor {shown(name)}: it has more than {most} elements")
        if position + 4 > len(data):
            raise InvalidRequest(f"tensor {shown(name)}: a length of an element is cut short")
        (length,) = _LENGTH.unpack_from(data, position)
        position += 4
        if position + length > len(data):
            raise InvalidRequest(
                f"tensor {shown(name)}: an element has {length} bytes, but {len(data) - position} "
                "are left"
            )
        found.append(data[position : position + length])
        position += length
    return found


def to_binary(array: Array) -> bytes:
    """The binary form of an output."""
    if array.dtype == object:
        elements = [bytes(element) for element in array.ravel()]
        return b"".join(_LENGTH.pack(len(element)) + element for element in elements)
    return np.ascontiguousarray(array, array.dtype.newbyteorder("<")).tobytes()


def to_json_data(array: Array) -> list[Any]:
    """The flat JSON list of an output: numbers (null for not-a-number), or UTF-8 text."""
    flat = array.ravel()
    if array.dtype == object:
        return [bytes(element).decode("utf-8", "replace") for element in flat]
    values: list[Any] = flat.tolist()
    return values
