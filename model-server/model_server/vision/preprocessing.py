"""Converts a decoded picture to the input tensor of a model.

Handles size, type and range. Independent of model formats and protocols.
"""

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from model_server.errors import InvalidModel
from model_server.models.base import (
    CAFFE_MEAN,
    TORCH_MEAN,
    TORCH_STD,
    Array,
    ImageInput,
    ModelInfo,
    TensorSpec,
)
from model_server.vision.images import encode
from model_server.vision.resizing import Resizer, choose

JpegDecoding = Literal["auto", "exact", "reduced"]

# A JPEG decoded at a reduced size stays at least this many times the size of the model's input.
# Measured on pictures of 12 megapixels (DECISIONS.md): a floating-point detector's scores change by
# at most 0.007 at 4 and by 0.012 at 2, and a quantized detector's by 0.02 at either.
_WIDE_MARGIN = 4
_NARROW_MARGIN = 2
# A quantized input whose real values end below this cannot represent pixels from 0 to 255.
_HOLDS_PIXELS = 128.0


def picture_input(info: ModelInfo) -> TensorSpec | None:
    """Returns the model's only input if it takes a picture, else None.

    Its shape is [N, H, W, C], [N, 3, H, W], or [N] for encoded pictures.
    """
    if len(info.inputs) != 1:
        return None
    spec = info.inputs[0]
    if spec.dtype == object:
        return spec if len(spec.shape) <= 1 else None
    return spec if spec.channel_axis is not None else None


def picture_size(spec: TensorSpec) -> tuple[int, int] | None:
    """Returns the width and height of a picture input; None if it accepts any size."""
    if spec.channel_axis is None:
        return None
    height, width = spec.shape[1:3] if spec.channel_axis == 3 else spec.shape[2:4]
    return (width, height) if height > 0 and width > 0 else None


def least_side(spec: TensorSpec, how: ImageInput, decoding: JpegDecoding) -> int | None:
    """Returns the shortest side, in pixels, to which a JPEG may be reduced when decoded.

    None means full size.

    Args:
        spec: The model's picture input.
        how: Its resize method; `nearest` picks single pixels, which a reduced picture lacks.
        decoding: `exact` never reduces; `reduced` reduces as far as is sensible. `auto` reduces
            only if the scores do not show it: for floating-point inputs, with a wide margin. The
            scores of a quantized model jump when a fiftieth of its input values change by one.
    """
    size = picture_size(spec)
    if size is None or decoding == "exact":
        return None
    if decoding == "reduced":
        return _NARROW_MARGIN * max(size)
    if how.resize == "nearest" or not np.issubdtype(spec.dtype, np.floating):
        return None
    return _WIDE_MARGIN * max(size)


def prepare(
    image: Image.Image, spec: TensorSpec, how: ImageInput, resize: Resizer | None = None
) -> Array:
    """Converts a picture to a batch of one.

    Args:
        image: 8-bit RGB.
        spec: The model's input. If its height or width is -1, the picture keeps that dimension, as
            detectors from the TF Object Detection API expect.
        how: Range and resize method.
        resize: Resizes the picture; defaults to the fastest implementation on this machine. All
            implementations produce the same pixels.

    Returns:
        [1, H, W, C] or [1, C, H, W] of the input's type, or [1] with an encoded PNG for an input
        of strings.

    Raises:
        InvalidModel: if no picture fits the input, or the range is for a different number of
            channels.
    """
    if spec.dtype == object:
        return np.array([encode(image, "PNG")], dtype=object)
    axis = spec.channel_axis
    if axis is None:
        raise InvalidModel(f"the input {spec.name} has shape {list(spec.shape)}: no picture fits")
    height, width = spec.shape[1:3] if axis == 3 else spec.shape[2:4]
    channels = spec.shape[axis]
    pixels = (resize or choose())(
        image,
        width if width > 0 else image.width,
        height if height > 0 else image.height,
        how.resize,
    )
    if channels == 1:
        pixels = np.asarray(Image.fromarray(pixels).convert("L"))[:, :, np.newaxis]
    tensor = _to_type(pixels, spec, how)
    return (tensor if axis == 3 else np.ascontiguousarray(tensor.transpose(2, 0, 1)))[np.newaxis]


def _to_type(pixels: Array, spec: TensorSpec, how: ImageInput) -> Array:
    if np.issubdtype(spec.dtype, np.floating):
        return _scale(pixels.astype(np.float32), how).astype(spec.dtype, copy=False)
    if not np.issubdtype(spec.dtype, np.integer):
        raise InvalidModel(f"the input {spec.name} has type {spec.dtype}, which no picture fits")
    if spec.quantized and not _as_bytes(spec, how):
        return _quantize(pixels, spec, how)
    if spec.dtype == np.int8:
        return (pixels.astype(np.int16) - 128).astype(np.int8)
    return pixels.astype(spec.dtype, copy=False)


def _as_bytes(spec: TensorSpec, how: ImageInput) -> bool:
    """Tells whether a quantized input takes pixels unchanged.

    If the input's full range corresponds to black to white, unchanged pixels are at most one
    quantization step off. This is the usual way to feed such models.
    """
    if spec.dtype.itemsize != 1:
        return False
    if how.scaling == "none" and not how.mean and (spec.real_range or (0, 0))[1] < _HOLDS_PIXELS:
        return True  # 0 to 255 would be all white
    ends = np.array([[[0, 0, 0]], [[255, 255, 255]]], np.uint8)[..., : spec.shape[-1]]
    if how.scaling == "caffe":
        return False  # the channel order is reversed
    lowest = int(np.iinfo(spec.dtype).min)
    return bool((np.abs(_steps(ends, spec, how) - (ends.astype(np.int16) + lowest)) <= 1.1).all())


def _quantize(pixels: Array, spec: TensorSpec, how: ImageInput) -> Array:
    """Quantizes to the input's type: value / scale + zero_point, rounded and clipped."""
    limits = np.iinfo(spec.dtype)
    rounded = np.rint(_steps(pixels, spec, how))
    clipped: Array = np.clip(rounded, limits.min, limits.max).astype(spec.dtype)
    return clipped


def _steps(pixels: Array, spec: TensorSpec, how: ImageInput) -> Array:
    return _scale(pixels.astype(np.float32), how) / np.float32(spec.scale) + spec.zero_point


def _scale(pixels: NDArray[np.float32], how: ImageInput) -> NDArray[np.float32]:
    channels = pixels.shape[-1]
    if how.mean:
        mean, std = np.array(how.mean, np.float32), np.array(how.std, np.float32)
        if {len(mean), len(std)} - {1, channels}:
            raise InvalidModel(
                f"the model's metadata has {len(mean)} means and {len(std)} deviations for a "
                f"picture of {channels} channels"
            )
        scaled: NDArray[np.float32] = (pixels - mean) / std
        return scaled
    if how.scaling in {"caffe", "torch"} and channels != 3:
        raise InvalidModel(
            f"preprocessing {how.scaling} is for 3 channels, and the model's input has {channels}"
        )
    match how.scaling:
        case "unit":
            return pixels / np.float32(255.0)
        case "signed":
            return pixels / np.float32(127.5) - np.float32(1.0)
        case "caffe":
            return (pixels - CAFFE_MEAN)[..., ::-1]
        case "torch":
            return (pixels / np.float32(255.0) - TORCH_MEAN) / TORCH_STD
        case "none":
            return pixels
