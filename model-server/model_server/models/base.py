"""The interface that every model format implements: named tensors in, named tensors out.

Independent of pictures, labels and HTTP.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from model_server.models.labels import Labels

Array = NDArray[Any]
Tensors = Mapping[str, Array]
PixelScaling = Literal["none", "unit", "signed", "caffe", "torch"]
ResizeMethod = Literal["nearest", "bilinear", "bicubic"]
# Where a pixel range comes from; `type` means that the input takes bytes or encoded pictures.
RangeSource = Literal["graph", "family", "metadata", "setting", "type", "assumed"]
# Statistics of the ImageNet training set that `caffe` and `torch` models were trained with
# (keras.applications.imagenet_utils), in RGB order, for pixels 0 to 255 and 0 to 1 respectively.
CAFFE_MEAN = np.array([123.68, 116.779, 103.939], np.float32)
TORCH_MEAN = np.array([0.485, 0.456, 0.406], np.float32)
TORCH_STD = np.array([0.229, 0.224, 0.225], np.float32)


@dataclass(frozen=True)
class TensorSpec:
    """One input or output.

    Attributes:
        name: Its name in the model's signature.
        shape: Dimensions; -1 for any size. Empty when the format does not specify them.
        dtype: Element type (`object` for strings).
        scale: Quantization scale: real value = (element - zero_point) * scale. 0.0 if not
            quantized.
        zero_point: See `scale`.
    """

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    scale: float = 0.0
    zero_point: int = 0

    @property
    def quantized(self) -> bool:
        """Whether elements encode real values through `scale` and `zero_point`."""
        return self.scale != 0.0 and np.issubdtype(self.dtype, np.integer)

    def dequantize(self, values: Array) -> Array:
        """Converts an output to real values (float32); returns unquantized values unchanged."""
        if not self.quantized:
            return values
        return (values.astype(np.float32) - self.zero_point) * np.float32(self.scale)

    @property
    def channel_axis(self) -> int | None:
        """The channel dimension of a picture input: 3, or 1 for [N, 3, H, W].

        None if the tensor is not a numeric picture.
        """
        if len(self.shape) != 4 or self.dtype == object:
            return None
        if self.shape[3] in {1, 3}:
            return 3
        if self.shape[1] == 3:
            return 1
        return 3 if self.shape[3] == -1 else None

    @property
    def real_range(self) -> tuple[float, float] | None:
        """Lowest and highest real value of a quantized tensor; None for others."""
        if not self.quantized:
            return None
        limits = np.iinfo(self.dtype)
        low = (int(limits.min) - self.zero_point) * self.scale
        return low, (int(limits.max) - self.zero_point) * self.scale


@dataclass(frozen=True)
class ImageInput:
    """How to turn a picture into the model's input.

    Attributes:
        scaling: How pixels 0 to 255 are scaled for a floating-point input.
        mean: Per-channel mean from the model's own metadata; replaces `scaling`.
        std: Per-channel standard deviation that goes with `mean`.
        resize: Method for resizing the picture to the input's size.
        source: Where `scaling` comes from; `assumed` if there is no evidence.
        reason: Human-readable explanation of `source`.
    """

    scaling: PixelScaling = "none"
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    resize: ResizeMethod = "bicubic"
    source: RangeSource = field(default="assumed", compare=False)
    reason: str = field(default="", compare=False)


@dataclass(frozen=True)
class ModelInfo:
    """Describes a loaded model.

    Attributes:
        format: tflite, savedmodel or keras.
        inputs: In the model's order.
        outputs: In the model's order.
        image: How to prepare its picture input.
        first_class: Number of the detector's first class (0 or 1).
        labels: Labels from its own metadata, or None.
        description: One human-readable line; empty when unknown.
        activations: Final operator of each output, by output name: softmax, log_softmax or
            sigmoid. Outputs that end in any other operator are absent.
        roles: Role of each detector output, by output name: boxes, classes, scores or count. Only
            present where the operator that produces the output reveals it.
        box_format: Order of a box's coordinates; empty unless the exporter is known.
        warnings: Problems that may affect its answers, for the person who starts the server.
    """

    format: str
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    image: ImageInput = field(default_factory=ImageInput)
    first_class: int = 0
    labels: Labels | None = None
    description: str = ""
    activations: Mapping[str, str] = field(default_factory=dict)
    roles: Mapping[str, str] = field(default_factory=dict)
    box_format: Literal["", "yxyx", "xyxy"] = ""
    warnings: tuple[str, ...] = ()


class Model(ABC):
    """A loaded model. `run` is safe to call from several threads at once."""

    info: ModelInfo

    @abstractmethod
    def run(self, inputs: Tensors) -> dict[str, Array]:
        """Runs one inference.

        Args:
            inputs: One array per input, by name, with that input's dtype and shape.

        Returns:
            One array per output, by name. Each owns its memory, so it is safe to keep.

        Raises:
            InferenceFailed: if the model's runtime reports an error.
        """

    def warm(self, inputs: Tensors) -> dict[str, Array]:
        """Runs every instance once, so that no request pays the first-run cost. See `run`."""
        return self.run(inputs)
