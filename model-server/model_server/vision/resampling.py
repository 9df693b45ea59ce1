"""The shared library of `native/`: resizing to Pillow's very pixels, several at a time.

Loads it, and lends it a picture's pixels without a copy. It decides nothing; see `resizing`.
"""

import ctypes
from enum import IntEnum
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, _imaging

LIBRARY = Path(__file__).with_name("libresample.so")
# Of resample.h.
_ABI = 1
_UNSUPPORTED = 3
# Most bytes of a picture that Pillow keeps in one piece, which is what it can lend; 268 megapixels.
_BLOCK_BYTES = 1 << 30

Box = tuple[float, float, float, float]


class Kind(IntEnum):
    """Processors that the library has loops for, best last."""

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
        path: Of the shared library.

    Raises:
        OSError: there is none, or it is of another version or for another processor.
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
        # A pointer for as long as its capsule lives. Called with the GIL, unlike the library.
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
        """What `image.resize(size, method, box)` gives, as an array.

        Other threads may run meanwhile.

        Args:
            image: RGB.
            size: Width and height, in pixels.
            method: How to average.
            kind: Which loops.
            box: The part of the picture to take: left, top, right, bottom; None for all of it.

        Returns:
            [height, width, 3], or None where Pillow has to do it: for pictures that are not in one
            piece or longer than a million pixels, for other modes and other methods.

        Raises:
            ValueError: if size or box are not possible.
            MemoryError: if there is not enough.
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
    """Lets Pillow keep larger pictures in one piece than its own 16 MB, so that it can lend them.

    It is what its environment variable PILLOW_BLOCK_SIZE does; the speed of decoding is the same.
    """
    _imaging.set_block_size(max(_BLOCK_BYTES, _imaging.get_block_size()))
