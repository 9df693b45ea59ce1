"""From a decoded picture to the tensor that a model takes.

Which size, which type, which range. It knows tensors and pictures, not formats or protocols.
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
from model_server.vision.images import encode, resize

JpegDecoding = Literal["auto", "exact", "reduced"]

# Times the model's input that a JPEG keeps when it is decoded at a reduced size. Measured on
# pictures of 12 megapixels (DECISIONS.md): at 4 a floating-point detector's scores move by at most
# 0.007, at 2 by 0.012, and a quantized one's by 0.02 at either.
_WIDE_MARGIN = 4
_NARROW_MARGIN = 2


def picture_input(info: ModelInfo) -> TensorSpec | None:
    """The input that takes a picture: the only one, [N, H, W, C] or encoded pictures [N]."""
    if len(info.inputs) != 1:
        return None
    spec = info.inputs[0]
    if spec.dtype == object:
        return spec if len(spec.shape) <= 1 else None
    return spec if len(spec.shape) == 4 and spec.shape[3] in {1, 3, -1} else None


def picture_size(spec: TensorSpec) -> tuple[int, int] | None:
    """Width and height of a picture input; None if it takes any size."""
    if len(spec.shape) != 4 or spec.shape[1] < 1 or spec.shape[2] < 1:
        return None
    return spec.shape[2], spec.shape[1]


def least_side(spec: TensorSpec, how: ImageInput, decoding: JpegDecoding) -> int | None:
    """The shortest side, in pixels, that a JPEG may be decoded at for an input; None: its own.

    Args:
        spec: The model's picture input.
        how: Its resize method: `nearest` picks single pixels, which a reduced picture lacks.
        decoding: `exact` never reduces, `reduced` does so as far as is sensible. `auto` does where
            it cannot be seen in the scores: for floating-point inputs, with a wide margin. The
            scores of a quantized model jump when a fiftieth of its input changes by one.
    """
    size = picture_size(spec)
    if size is None or decoding == "exact":
        return None
    if decoding == "reduced":
        return _NARROW_MARGIN * max(size)
    if how.resize == "nearest" or not np.issubdtype(spec.dtype, np.floating):
        return None
    return _WIDE_MARGIN * max(size)


def prepare(image: Image.Image, spec: TensorSpec, how: ImageInput) -> Array:
    """The picture as a batch of one.

    Args:
        image: RGB with 8 bits.
        spec: The model's input. Where its height or width is -1 the picture keeps its size, as
            detectors of the TF Object Detection API expect.
        how: Range and resize method.

    Returns:
        [1, H, W, C] of the input's type, or [1] of encoded PNG for an input of strings.
    """
    if spec.dtype == object:
        return np.array([encode(image, "PNG")], dtype=object)
    height, width, channels = spec.shape[1:]
    sized = resize(
        image,
        width if width > 0 else image.width,
        height if height > 0 else image.height,
        how.resize,
    )
    pixels = np.asarray(sized.convert("L") if channels == 1 else sized)
    if channels == 1:
        pixels = pixels[:, :, np.newaxis]
    return _to_type(pixels, spec, how)[np.newaxis]


def _to_type(pixels: Array, spec: TensorSpec, how: ImageInput) -> Array:
    if np.issubdtype(spec.dtype, np.floating):
        return _scale(pixels.astype(np.float32), how).astype(spec.dtype, copy=False)
    if spec.dtype == np.int8:
        # A quantized input's whole range stands for pixels 0 to 255, whatever its real values.
        return (pixels.astype(np.int16) - 128).astype(np.int8)
    if np.issubdtype(spec.dtype, np.integer):
        return pixels.astype(spec.dtype, copy=False)
    raise InvalidModel(f"the input {spec.name} has type {spec.dtype}, which no picture fits")


def _scale(pixels: NDArray[np.float32], how: ImageInput) -> NDArray[np.float32]:
    if how.mean:
        mean, std = np.array(how.mean, np.float32), np.array(how.std, np.float32)
        scaled: NDArray[np.float32] = (pixels - mean) / std
        return scaled
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
