"""What every model format offers to the rest of the server: named tensors in, named tensors out.

Knows nothing about pictures, labels or HTTP.
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
# Where it is known from how a picture is prepared: `type` is an input of bytes or encoded pictures.
RangeSource = Literal["graph", "family", "metadata", "setting", "type", "assumed"]
# Of the training pictures of ImageNet: the figures that `caffe` and `torch` models were trained
# with (keras.applications.imagenet_utils). In RGB order, for pixels 0 to 255 and 0 to 1.
CAFFE_MEAN = np.array([123.68, 116.779, 103.939], np.float32)
TORCH_MEAN = np.array([0.485, 0.456, 0.406], np.float32)
TORCH_STD = np.array([0.229, 0.224, 0.225], np.float32)


@dataclass(frozen=True)
class TensorSpec:
    """One input or output.

    Attributes:
        name: Its name in the model's signature.
        shape: Dimensions; -1 where any size goes. Empty when the format does not tell.
        dtype: Type of the elements (`object` for strings).
        scale: Quantization: real value = (element - zero_point) * scale. 0.0: not quantized.
        zero_point: See `scale`.
    """

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    scale: float = 0.0
    zero_point: int = 0

    @property
    def quantized(self) -> bool:
        """Whether elements stand for real values by `scale` and `zero_point`."""
        return self.scale != 0.0 and np.issubdtype(self.dtype, np.integer)

    def dequantize(self, values: Array) -> Array:
        """Real values of an output, float32; unquantized values as they are."""
        if not self.quantized:
            return values
        return (values.astype(np.float32) - self.zero_point) * np.float32(self.scale)

    @property
    def channel_axis(self) -> int | None:
        """Which dimension of a picture input is its channels: 3, or 1 for [N, 3, H, W].

        None if it is no picture of numbers.
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
    """How a picture becomes the model's input.

    Attributes:
        scaling: What pixels 0 to 255 become when the input is floating-point.
        mean: Per-channel mean that replaces `scaling`, from the model's own metadata.
        std: Per-channel deviation that goes with `mean`.
        resize: How the picture is brought to the input's size.
        source: Where `scaling` is known from; `assumed` if nothing tells.
        reason: What that is, for people.
    """

    scaling: PixelScaling = "none"
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    resize: ResizeMethod = "bicubic"
    source: RangeSource = field(default="assumed", compare=False)
    reason: str = field(default="", compare=False)


@dataclass(frozen=True)
class ModelInfo:
    """What a loaded model says of itself.

    Attributes:
        format: tflite, savedmodel or keras.
        inputs: In the model's order.
        outputs: In the model's order.
        image: How its picture input is prepared.
        first_class: What its detector classes count from (0 or 1).
        labels: From its own metadata, or None.
        description: A line for people, empty when unknown.
        activations: The last operator of outputs, by name: softmax, log_softmax or sigmoid; absent
            if it is another.
        roles: What outputs of a detector are, by name, where the operator that makes them tells:
            boxes, classes, scores or count.
        box_format: The order of a box's numbers, where the exporter is known; else empty.
        warnings: What its answers may suffer from, for whoever starts the server.
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
    """A loaded model. `run` may be called from many threads at the same time."""

    info: ModelInfo

    @abstractmethod
    def run(self, inputs: Tensors) -> dict[str, Array]:
        """One inference.

        Args:
            inputs: An array for every input, by name, of its dtype and shape.

        Returns:
            An array for every output, by name; its own memory, safe to keep.

        Raises:
            InferenceFailed: if the model's runtime reports an error.
        """

    def warm(self, inputs: Tensors) -> dict[str, Array]:
        """Runs every instance once, so that no request pays for a first time. See `run`."""
        return self.run(inputs)
