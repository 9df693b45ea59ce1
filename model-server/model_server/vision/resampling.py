"""Bindings for the shared library in `native/`: SIMD resizing with the same pixels as Pillow.

Loads the library and passes it a picture's pixels without copying. `resizing` decides when to use
it.
"""

import ctypes
from enum import IntEnum
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, _imaging

LIBRARY = Path(__file__).with_name("libresample.so")
# From resample.h.
_ABI = 1
_UNSUPPORTED = 3
# Largest picture, in bytes, that Pillow keeps in one block (268 megapixels). Only pixels in one
# block can be shared without copying.
_BLOCK_BYTES = 1 << 30

Box = tuple[float, float, float, float]


class Kind(IntEnum):
    """Instruction sets that the library has loops for, best last."""

    NONE = 0
    AVX2 = 1
    AVX512_VNNI = 2


class _Source(ctypes.Structure):
    _fields_ = (
        ("pixels", ctypes.c_void_p),
        ("width", ctypes.c_int64),
        ("height", ctypes.c_int64),
        ("box", ctypes.c_float * 4),
    )


class _Target(ctypes.Structure):
    _fields_ = (
        ("pixels", ctypes.c_void_p),
        ("width", ctypes.c_int64),
        ("height", ctypes.c_int64),
    )


class Library:
    """The loaded library.

    Args:
        path: Path of the shared library.

    Raises:
        OSError: if the library does not exist, or is for another version or processor.
    """

    def __init__(self, path: Path = LIBRARY) -> None:
        self._library = ctypes.CDLL(str(path))
        try:
            version = self._library.resample_abi()
        except AttributeError:
            version = 0
        if version != _ABI:
            raise OSError(f"{path} has version {version} instead of {_ABI}")
        self._resize = self._library.resample_arrow
        self._resize.argtypes = [
            *(ctypes.c_void_p, ctypes.c_void_p, ctypes.POINTER(_Source)),
            *(ctypes.POINTER(_Target), ctypes.c_int, ctypes.c_int),
        ]
        # The pointer is valid as long as its capsule lives. This call holds the GIL; calls to the
        # library release it.
        self._pointer = ctypes.PYFUNCTYPE(ctypes.c_void_p, ctypes.py_object, ctypes.c_char_p)(
            ("PyCapsule_GetPointer", ctypes.pythonapi)
        )
        self.best = Kind(self._library.resample_best())

    def resize(
        self,
        image: Image.Image,
        size: tuple[int, int],
        method: Image.Resampling,
        kind: Kind,
        box: Box | None = None,
    ) -> NDArray[np.uint8] | None:
        """Returns the result of `image.resize(size, method, box)` as an array.

        Other threads can run during the call.

        Args:
            image: An RGB picture.
            size: Width and height, in pixels.
            method: Resampling method.
            kind: Which loops to use.
            box: The part of the picture to resize: left, top, right, bottom; None for all of it.

        Returns:
            [height, width, 3], or None if Pillow has to resize: for pictures that are not in one
            block or are longer than a million pixels, for other modes and for other methods.

        Raises:
            ValueError: if the size or box is invalid.
            MemoryError: if there is not enough memory.
        """
        width, height = size
        if image.mode != "RGB":
            return None
        if width < 1 or height < 1:
            raise ValueError(f"a picture of {width}x{height} is not possible")
        try:
            schema, array = image.__arrow_c_array__()
        except ValueError:
            return None
        pixels = np.empty((height, width, 3), np.uint8)
        whole = (0.0, 0.0, float(image.width), float(image.height))
        code = self._resize(
            self._pointer(schema, b"arrow_schema"),
            self._pointer(array, b"arrow_array"),
            _Source(None, image.width, image.height, box or whole),
            _Target(pixels.ctypes.data, width, height),
            int(method),
            int(kind),
        )
        if code == 0:
            return pixels
        if code == _UNSUPPORTED:
            return None
        if code == 2:
            raise MemoryError("resizing a picture")
        raise ValueError(f"{size}, {method.name} or the box {box} are not possible")


def keep_in_one_piece() -> None:
    """Lets Pillow keep pictures above its default of 16 MB in one block, so they can be shared.

    Has the same effect as Pillow's environment variable PILLOW_BLOCK_SIZE. Decoding is as fast.
    """
    _imaging.set_block_size(max(_BLOCK_BYTES, _imaging.get_block_size()))
