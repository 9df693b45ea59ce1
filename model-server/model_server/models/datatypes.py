"""Element type names, as used by the Open Inference Protocol and in messages to users.

Source: the protocol's `inference_rest.md`, "Tensor Data Types". No I/O.
"""

from typing import Any

import numpy as np

DATATYPES: dict[str, np.dtype[Any]] = {
    "BOOL": np.dtype(np.bool_),
    "UINT8": np.dtype(np.uint8),
    "UINT16": np.dtype(np.uint16),
    "UINT32": np.dtype(np.uint32),
    "UINT64": np.dtype(np.uint64),
    "INT8": np.dtype(np.int8),
    "INT16": np.dtype(np.int16),
    "INT32": np.dtype(np.int32),
    "INT64": np.dtype(np.int64),
    "FP16": np.dtype(np.float16),
    "FP32": np.dtype(np.float32),
    "FP64": np.dtype(np.float64),
    "BYTES": np.dtype(object),
}
_NAMES = {dtype: name for name, dtype in DATATYPES.items()}


def has_datatype(dtype: np.dtype[Any]) -> bool:
    """Whether the protocols can represent a NumPy type."""
    return dtype in _NAMES


def datatype_of(dtype: np.dtype[Any]) -> str:
    """Returns the protocol's name for a NumPy type, such as `FP32` for float32.

    Raises:
        KeyError: if the protocols cannot represent it. Models with such types are refused at load.
    """
    return _NAMES[dtype]
