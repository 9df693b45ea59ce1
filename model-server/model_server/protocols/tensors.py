"""Conversion between NumPy arrays and the Open Inference Protocol's JSON lists and binary data.

Shapes are checked against the data before memory is allocated. Sources: the protocol's
`inference_rest.md` and Triton's `extension_binary_data.md`.
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
# Python types of JSON numbers.
_NUMBERS = {bool, int, float}
_MAX_ELEMENTS = 1 << 31
_LENGTH = struct.Struct("<I")


def check_shape(shape: object, name: str) -> tuple[int, ...]:
    """Validates the shape of a tensor.

    Raises:
        InvalidRequest: if it is not a list of at most 8 non-negative integers.
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
            f"tensor {shown(name)}: shape must be a list of at most {_MAX_RANK} integers >= 0"
        )
    return tuple(shape)


def check_datatype(datatype: object, name: str) -> np.dtype[Any]:
    """Validates the data type of a tensor.

    Raises:
        InvalidRequest: with the known types.
    """
    if not isinstance(datatype, str) or datatype not in DATATYPES:
        raise InvalidRequest(
            f"tensor {shown(name)}: datatype {shown(datatype)} is not one of {', '.join(DATATYPES)}"
        )
    return DATATYPES[datatype]


def from_lists(values: object, dtype: np.dtype[Any], name: str) -> Array:
    """Converts nested or flat JSON lists of numbers to an array.

    Raises:
        InvalidRequest: if they are ragged, nested too deeply, or contain invalid values.
    """
    shape: list[int] = []
    level: list[Any] = [values]
    # Level by level, so that NumPy sees only numbers: one long string would make it allocate that
    # length for every element.
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
    """Converts numbers to the type of a tensor. Overflow in FP16 gives infinity.

    Raises:
        InvalidRequest: if a value is not valid for the type.
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
    """Elements of a BYTES tensor as a one-dimensional object array."""
    array = np.empty(len(elements), dtype=object)
    array[:] = elements
    return array


def shaped(values: Array, shape: tuple[int, ...], name: str) -> Array:
    """Reshapes an array.

    Raises:
        InvalidRequest: if the number of elements does not match.
    """
    if values.size != math.prod(shape):
        raise InvalidRequest(
            f"tensor {shown(name)}: shape {list(shape)} needs {math.prod(shape)} elements, but "
            f"the data has {values.size}"
        )
    return values.reshape(shape)


def strings_from_lists(values: object, name: str, *, base64: bool) -> list[bytes]:
    """Flattens nested JSON lists of strings to bytes, in row-major order.

    Args:
        values: The lists.
        name: Name of the tensor, for errors.
        base64: Whether to decode base64; otherwise the strings are encoded as UTF-8.

    Raises:
        InvalidRequest: if an element is not a string.
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
            raise InvalidRequest(f"tensor {shown(name)}: data has a value that is not a string")
    return found


def from_binary(data: bytes, dtype: np.dtype[Any], shape: tuple[int, ...], name: str) -> Array:
    """Reads little-endian, row-major bytes.

    Raises:
        InvalidRequest: if the number of bytes does not match the shape.
    """
    wanted = math.prod(shape) * dtype.itemsize
    if len(data) != wanted:
        raise InvalidRequest(
            f"tensor {shown(name)}: {list(shape)} of {datatype_of(dtype)} needs {wanted} bytes, "
            f"but there are {len(data)}"
        )
    return np.frombuffer(data, dtype.newbyteorder("<")).astype(dtype, copy=False).reshape(shape)


def strings_from_binary(data: bytes, name: str, most: int) -> list[bytes]:
    """Reads BYTES elements: each a 4-byte little-endian length and its bytes.

    Args:
        data: Binary data of the tensor.
        name: Name of the tensor, for errors.
        most: Maximum number of elements.

    Raises:
        InvalidRequest: if a length exceeds the data or there are too many elements.
    """
    found: list[bytes] = []
    position = 0
    while position < len(data):
        if len(found) >= most:
            raise InvalidRequest(f"tensor {shown(name)}: it has more than {most} elements")
        if position + 4 > len(data):
            raise InvalidRequest(f"tensor {shown(name)}: the data ends inside an element length")
        (length,) = _LENGTH.unpack_from(data, position)
        position += 4
        if position + length > len(data):
            raise InvalidRequest(
                f"tensor {shown(name)}: an element has {length} bytes, but only "
                f"{len(data) - position} are left"
            )
        found.append(data[position : position + length])
        position += length
    return found


def to_binary(array: Array) -> bytes:
    """Encodes an output as binary data."""
    if array.dtype == object:
        elements = [bytes(element) for element in array.ravel()]
        return b"".join(_LENGTH.pack(len(element)) + element for element in elements)
    return np.ascontiguousarray(array, array.dtype.newbyteorder("<")).tobytes()


def to_json_data(array: Array) -> list[Any]:
    """Encodes an output as a flat JSON list: numbers (NaN becomes null) or UTF-8 text."""
    flat = array.ravel()
    if array.dtype == object:
        return [bytes(element).decode("utf-8", "replace") for element in flat]
    values: list[Any] = flat.tolist()
    return values
