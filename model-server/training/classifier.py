"""The classifier's network and the graph that is served: a small residual network of our own."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from .blocks import Tensor, conv, keras, layers, residual
from .draw import SINGLE_SIDE
from .sketches import CLASSIFIED

CLASSES = len(CLASSIFIED)


def network() -> Any:
    """Return the trainable network: RGB 0 to 255 float32 (B, side, side, 3) to logits."""
    image = keras.Input((SINGLE_SIDE, SINGLE_SIDE, 3))
    x = conv(layers.Rescaling(1 / 127.5, -1.0)(image), 16, 2)
    for channels in (32, 64, 96):
        x = residual(conv(x, channels, 2), channels)
    x = layers.Dropout(0.2)(layers.GlobalAveragePooling2D()(x))
    return keras.Model(image, layers.Dense(CLASSES)(x))


def loss(logits: Tensor, truth: Tensor) -> Tensor:
    """Return the mean cross entropy, with a little doubt kept (label smoothing 0.02)."""
    wanted = tf.one_hot(tf.cast(truth[:, 0], tf.int32), CLASSES)
    return tf.reduce_mean(
        keras.losses.categorical_crossentropy(
            wanted, logits, from_logits=True, label_smoothing=0.02
        )
    )


class Served:
    """The graph that is served: bytes in, probabilities out."""

    def __init__(self, trained: Any) -> None:
        """Wrap what `network` returned, trained."""
        self.trained = trained

    def answer(self, image: Tensor) -> dict[str, Tensor]:
        """Return the probability of each class for one uint8 picture, (1, CLASSES)."""
        logits = self.trained(tf.cast(image, tf.float32), training=False)
        return {"probabilities": tf.nn.softmax(logits)}
