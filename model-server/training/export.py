"""Write a trained graph as a LiteRT file with named outputs in the promised order.

Weights are stored as float16 and computed as float32. No custom and no TensorFlow operator may be
needed to run the file: conversion fails rather than fall back on them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

from .lite import Lite

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path


def write(answer: Callable[[Any], dict[str, Any]], shape: Sequence[int], target: Path) -> None:
    """Convert a function of one uint8 tensor of the given shape and write it to `target`.

    `answer` returns named tensors, whose order is that of the file's outputs. The weights are
    frozen into constants first: left as variables they would be neither folded nor stored as
    float16, and the file would run several times slower.

    Raises:
        ValueError: The file does not answer as the function does, output for output.
    """
    image = tf.TensorSpec(tuple(shape), tf.uint8, name="image")
    sample = np.random.default_rng(0).integers(0, 256, tuple(shape), np.uint8)
    wanted = answer(tf.constant(sample))
    names = list(wanted)
    traced = tf.function(lambda x: tuple(answer(x).values()), input_signature=[image])
    frozen = convert_variables_to_constants_v2(traced.get_concrete_function())
    holder = tf.Module()
    holder.named = tf.function(
        lambda image: dict(zip(names, frozen(image), strict=True)), input_signature=[image]
    )
    converter = tf.lite.TFLiteConverter.from_concrete_functions(
        [holder.named.get_concrete_function()], holder
    )
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.target_spec.supported_types = [tf.float16]
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(converter.convert())
    _check(target, sample[0], [tensor.numpy()[0] for tensor in wanted.values()])


def _check(target: Path, sample: np.ndarray[Any, Any], wanted: list[np.ndarray[Any, Any]]) -> None:
    came = Lite(target).run(sample)
    for number, (want, got) in enumerate(zip(wanted, came, strict=True)):
        if want.shape != got.shape or not np.allclose(want, got, atol=0.05):
            raise ValueError(f"{target}: output {number} is {got}, the network says {want}")
