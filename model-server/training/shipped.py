"""Take the weights out of a shipped LiteRT file, so that training can go on from it.

The file holds convolutions into which the normalization was folded. Read back, each keeps its
kernel, and the normalization after it gets what was folded in, split anew into statistics (observed
on pictures) and scale and offset, so that the network answers as the file does and still learns.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from ai_edge_litert.interpreter import Interpreter, OpResolverType

from .blocks import EPSILON, Normalized, keras, layers

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt

    Folded = tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]


def _folded(path: Path) -> list[Folded]:
    """Return kernel and bias of every convolution, in the order in which the file runs them."""
    # Delegates would unpack the float16 kernels out of sight.
    plain = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    file: Any = Interpreter(
        str(path), experimental_op_resolver_type=plain, experimental_preserve_all_tensors=True
    )
    file.allocate_tensors()
    file.invoke()  # The first run unpacks the kernels.
    found = []
    for operation in file._get_ops_details():  # noqa: SLF001 - nothing public tells the order.
        if operation["op_name"] in ("CONV_2D", "DEPTHWISE_CONV_2D"):
            kernel, bias = (file.get_tensor(index).copy() for index in operation["inputs"][1:3])
            # Files say (out, height, width, in), depth-wise ones (1, height, width, channels).
            found.append((kernel.transpose(1, 2, 3, 0), bias))
    return found


def _statistics(model: Any, wanted: list[Any], pictures: npt.NDArray[np.uint8]) -> list[Folded]:
    """Return the mean and the variance of what enters each of the layers, per channel."""
    probe = keras.Model(model.input, [layer.input for layer in wanted])
    entering = probe(pictures.astype(np.float32), training=False)
    flat = [np.asarray(x).reshape(-1, x.shape[-1]) for x in entering]
    return [(x.mean(axis=0), x.var(axis=0)) for x in flat]


def load(model: Any, path: Path, pictures: npt.NDArray[np.uint8]) -> None:
    """Give a fresh network the weights of a shipped file.

    Args:
        model: What the file was exported from, with whatever weights.
        path: The .tflite file.
        pictures: Some to observe statistics on, (N, side, side, 3) of the network's side.

    Raises:
        ValueError: The file holds other convolutions than the network.
    """
    kinds = (layers.Conv2D, layers.DepthwiseConv2D)
    free = [layer for layer in model.layers if isinstance(layer, kinds)]
    follower = {id(x.input): x for x in model.layers if isinstance(x, Normalized)}
    offsets = []
    for kernel, bias in _folded(path):
        fits = [layer for layer in free if layer.kernel.shape == kernel.shape]
        if not fits:
            raise ValueError(f"{path}: the network has no convolution {kernel.shape} (left)")
        free.remove(fits[0])
        fits[0].kernel.assign(kernel)
        if fits[0].use_bias:
            fits[0].bias.assign(bias)
            continue
        after = follower[id(fits[0].output)]
        after.variance.assign(np.ones_like(bias) - EPSILON)
        after.offset.assign(bias)
        offsets.append((after, bias))
    if free:
        raise ValueError(f"{path}: the file lacks convolutions of the network: {len(free)}")
    observed = _statistics(model, [after for after, _ in offsets], pictures)
    for (after, bias), (mean, variance) in zip(offsets, observed, strict=True):
        after.mean.assign(mean)
        after.variance.assign(variance)
        after.scale.assign(np.sqrt(variance + EPSILON))
        after.offset.assign(bias + mean)
