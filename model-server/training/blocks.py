"""The building blocks of both networks."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

keras = tf.keras
layers = keras.layers
Tensor = Any

#: Keeps the normalization of a channel that never varies finite.
EPSILON = 1e-3
_MOMENTUM = 0.99


class Normalized(keras.layers.Layer):  # type: ignore[misc,name-defined]
    """Batch normalization by TensorFlow's fused kernel.

    The Keras layer composes it of a dozen element-wise operations, which on a CPU cost a third of
    a training step. Converted, it folds into the convolution before it.
    """

    def build(self, shape: Any) -> None:
        """Make scale and offset (learnt) and the running mean and variance (observed)."""
        channels = (shape[-1],)
        self.scale = self.add_weight(shape=channels, initializer="ones", name="scale")
        self.offset = self.add_weight(shape=channels, initializer="zeros", name="offset")
        self.mean = self.add_weight(shape=channels, initializer="zeros", trainable=False)
        self.variance = self.add_weight(shape=channels, initializer="ones", trainable=False)

    def call(self, x: Tensor, training: bool = False) -> Tensor:
        """Normalize by the batch in training, else by what was observed in training."""
        y, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
            x=x,
            scale=self.scale,
            offset=self.offset,
            mean=self.mean,
            variance=self.variance,
            epsilon=EPSILON,
            is_training=training,
        )
        if training:
            self.mean.assign(self.mean * _MOMENTUM + mean * (1 - _MOMENTUM))
            self.variance.assign(self.variance * _MOMENTUM + variance * (1 - _MOMENTUM))
        return y


def conv(x: Tensor, channels: int, stride: int = 1) -> Tensor:
    """Return a 3x3 convolution, normalized and rectified."""
    x = layers.Conv2D(channels, 3, stride, "same", use_bias=False)(x)
    return layers.ReLU()(Normalized()(x))


def residual(x: Tensor, channels: int) -> Tensor:
    """Return two 3x3 convolutions with a way around them (He et al., 2016)."""
    y = layers.Conv2D(channels, 3, 1, "same", use_bias=False)(conv(x, channels))
    return layers.ReLU()(layers.Add()([x, Normalized()(y)]))


def context(x: Tensor, channels: int) -> Tensor:
    """Look far around at little cost: a 5x5 depth-wise convolution and a 1x1, with a way around."""
    y = Normalized()(layers.DepthwiseConv2D(5, 1, "same", use_bias=False)(x))
    y = Normalized()(layers.Conv2D(channels, 1, use_bias=False)(y))
    return layers.ReLU()(layers.Add()([x, y]))
