"""Names of element types, as the Open Inference Protocol and messages to users write them.

Source: the protocol's `inference_rest.md`, "Tensor Data Types". Pure.
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
    """Whether the protocols can carry elements of a NumPy type."""
    return dtype in _NAMES


def datatype_of(dtype: np.dtype[Any]) -> str:
    """The name of a NumPy type: `FP32` for float32.

    Raises:
        KeyError: if the protocols cannot carry it; such models are refused when they are loaded.
    """
    return _NAMES[dtype]
