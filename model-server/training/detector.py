"""The detector's network, what it is taught, and the graph that is served.

A small single-shot, anchor-free convolutional detector: a residual backbone, a top-down path to
stride 8, a heat map of object centres per class and, at every cell, the distances to the four
sides (Zhou et al., "Objects as Points", 2019; Liu et al., "Training-Time-Friendly Network", 2020;
written anew from the papers). The served graph adds decoding and non-maximum suppression, and
answers like TFLite_Detection_PostProcess, out of built-in LiteRT operators alone.
"""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from .blocks import Tensor, context, conv, keras, layers, residual
from .draw import SCENE_SIDE
from .shapes import DETECTED

STRIDE = 8
CELLS = SCENE_SIDE // STRIDE
CLASSES = len(DETECTED)
#: A raw side prediction of 0 means a side this far (in shares of the picture) from the cell.
UNIT_REACH = 0.1
#: How wide the bump of a taught centre is, as a share of the figure's width and height.
BUMP = 0.09
#: The answer holds at most so many detections, the most certain of so many candidates.
MOST_DETECTIONS = 25
CANDIDATES = 100
OVERLAP_LIMIT = 0.5


def network(side: int = SCENE_SIDE) -> Any:
    """Return the trainable network; its weights fit any side that is a multiple of 32.

    Input: RGB 0 to 255, float32, (B, side, side, 3). Output: centre logits
    (B, side/8, side/8, CLASSES) and raw side distances top, left, bottom, right (.., 4).
    """
    image = keras.Input((side, side, 3))
    x = layers.Rescaling(1 / 127.5, -1.0)(image)
    fine = conv(conv(conv(x, 16, 2), 32, 2), 48, 2)
    fine = residual(residual(fine, 48), 48)
    middle = residual(conv(fine, 96, 2), 96)
    coarse = context(context(conv(middle, 128, 2), 128), 128)
    up = layers.UpSampling2D()(layers.Conv2D(64, 1)(coarse))
    up = conv(layers.Add()([up, layers.Conv2D(64, 1)(middle)]), 64)
    up = layers.UpSampling2D()(layers.Conv2D(48, 1)(up))
    up = conv(layers.Add()([up, fine]), 48)
    rare = keras.initializers.Constant(-4.0)  # Few cells are centres: start out saying so.
    centres = layers.Conv2D(CLASSES, 1, bias_initializer=rare)(conv(up, 48))
    return keras.Model(image, [centres, layers.Conv2D(4, 1)(up)])


def _grid(cells: int) -> Tensor:
    """Return the cell centres' y and x as shares of the picture, shape (cells, cells, 2)."""
    at = (tf.range(cells, dtype=tf.float32) + 0.5) / cells
    return tf.stack(tf.meshgrid(at, at, indexing="ij"), axis=-1)


def boxes_from(sides: Tensor) -> Tensor:
    """Turn raw side distances into boxes ymin, xmin, ymax, xmax, not yet cut to the picture."""
    middle = _grid(sides.shape[1])
    reach = UNIT_REACH * tf.exp(tf.clip_by_value(sides, -4.0, 3.0))
    return tf.concat([middle - reach[..., :2], middle + reach[..., 2:]], axis=-1)


def targets(truth: Tensor, cells: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return what the network should say of a batch of scenes.

    Args:
        truth: Figures (B, N, 5): box, class; rows of -1 are padding.
        cells: Cells along one side of the grid.

    Returns:
        Heat (B, cells, cells, CLASSES) with 1 at centres and bumps around them, the box that each
        cell answers for (.., 4), and how much the cell counts (..); those of a figure sum to 1.
    """
    box, kind = truth[..., :4], tf.cast(truth[..., 4], tf.int32)
    known = tf.cast(kind >= 0, tf.float32)[..., None, None]
    extent = box[..., 2:] - box[..., :2]
    centre = (box[..., :2] + box[..., 2:]) / 2
    centre = (tf.floor(tf.clip_by_value(centre, 0.0, 0.999) * cells) + 0.5) / cells
    sigma = tf.maximum(extent * BUMP, 0.35 / cells)
    away = (_grid(cells)[None, None] - centre[:, :, None, None]) / sigma[:, :, None, None]
    bump = tf.exp(-0.5 * tf.reduce_sum(away**2, axis=-1)) * known
    classes = tf.one_hot(kind, CLASSES)[:, :, None, None, :]
    heat = tf.reduce_max(bump[..., None] * classes, axis=1)
    # Where figures share a cell, it answers for the smallest.
    near = tf.cast(bump > 0.05, tf.float32)
    area = tf.reduce_prod(extent, axis=-1)[..., None, None]
    owner = tf.argmin(area * near + 9.0 * (1 - near), axis=1, output_type=tf.int32)
    owned = tf.transpose(tf.one_hot(owner, truth.shape[1]), [0, 3, 1, 2]) * near * bump
    share = owned / (tf.reduce_sum(owned, axis=[2, 3], keepdims=True) + 1e-6)
    return heat, tf.gather(box, owner, batch_dims=1), tf.reduce_sum(share, axis=1)


def _overlap_loss(predicted: Tensor, true: Tensor) -> Tensor:
    """Return 1 - GIoU (Rezatofighi et al., 2019) of boxes of equal shape (.., 4)."""
    common = tf.minimum(predicted[..., 2:], true[..., 2:]) - tf.maximum(
        predicted[..., :2], true[..., :2]
    )
    shared = tf.reduce_prod(tf.maximum(common, 0.0), axis=-1)
    hull = tf.maximum(predicted[..., 2:], true[..., 2:]) - tf.minimum(
        predicted[..., :2], true[..., :2]
    )
    union = (
        tf.reduce_prod(predicted[..., 2:] - predicted[..., :2], axis=-1)
        + tf.reduce_prod(true[..., 2:] - true[..., :2], axis=-1)
        - shared
    )
    around = tf.reduce_prod(hull, axis=-1) + 1e-7
    return 1 - shared / (union + 1e-7) + (around - union) / around


def loss(centres: Tensor, sides: Tensor, truth: Tensor) -> Tensor:
    """Return the mean loss per figure: penalty-reduced focal loss on centres, GIoU on boxes."""
    heat, box, share = targets(truth, centres.shape[1])
    count = tf.maximum(tf.reduce_sum(tf.cast(truth[..., 4] >= 0, tf.float32)), 1.0)
    yes, no = tf.math.log_sigmoid(centres), tf.math.log_sigmoid(-centres)
    chance = tf.sigmoid(centres)
    is_centre = tf.cast(heat > 0.999, tf.float32)
    missed = is_centre * (1 - chance) ** 2 * yes
    invented = (1 - is_centre) * (1 - heat) ** 4 * chance**2 * no
    box_loss = tf.reduce_sum(_overlap_loss(boxes_from(sides), box) * share)
    return (4 * box_loss - tf.reduce_sum(missed + invented)) / count


class Served:
    """The graph that is served: bytes in, detections out."""

    def __init__(self, trained: Any, sharpness: float, shift: float) -> None:
        """Wrap a trained network.

        Args:
            trained: What `network` returned, trained.
            sharpness: Factor on the centre logits that makes scores honest (see `calibration`).
            shift: What is added to them after.
        """
        self.trained = trained
        self.sharpness, self.shift = sharpness, shift

    def answer(self, image: Tensor) -> dict[str, Tensor]:
        """Return boxes, classes, scores, count for one uint8 picture (1, SIDE, SIDE, 3)."""
        centres, sides = self.trained(tf.cast(image, tf.float32), training=False)
        logits = tf.reshape(centres, [CELLS * CELLS, CLASSES])
        boxes = tf.reshape(boxes_from(sides), [CELLS * CELLS, 4])
        top, index = tf.math.top_k(tf.reduce_max(logits, axis=-1), CANDIDATES)
        scores = tf.sigmoid(top * self.sharpness + self.shift)
        boxes = tf.clip_by_value(tf.gather(boxes, index), 0.0, 1.0)
        kinds = tf.argmax(tf.gather(logits, index), axis=-1, output_type=tf.int32)
        kept, count = tf.raw_ops.NonMaxSuppressionV4(
            boxes=boxes,
            scores=scores,
            max_output_size=MOST_DETECTIONS,
            iou_threshold=OVERLAP_LIMIT,
            score_threshold=0.02,
            pad_to_max_output_size=True,
        )
        real = tf.cast(tf.range(MOST_DETECTIONS) < count, tf.float32)
        return {
            "boxes": (tf.gather(boxes, kept) * real[:, None])[None],
            "classes": (tf.cast(tf.gather(kinds, kept), tf.float32) * real)[None],
            "scores": (tf.gather(scores, kept) * real)[None],
            "count": tf.cast(count, tf.float32)[None],
        }
