"""The training loop that both models share: schedule, averaged weights, checkpoints, progress.

Knows neither pictures nor losses: those come as functions. An interrupted run goes on from its
last finished epoch.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    Batch = tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]


@dataclass(frozen=True)
class Plan:
    """How long and how fast to learn.

    Attributes:
        epochs: Passes over the pool.
        batch: Pictures per step.
        rate: Highest learning rate, reached after a short warm-up, then a half cosine to 0.
        seed: Of the initial weights, the order and the variations of the pictures.
    """

    epochs: int
    batch: int
    rate: float
    seed: int


def limit_threads(count: int) -> None:
    """Let TensorFlow use so many threads; to be called before anything else of TensorFlow."""
    tf.config.threading.set_inter_op_parallelism_threads(count)
    tf.config.threading.set_intra_op_parallelism_threads(count)


def _optimizer(plan: Plan, steps: int) -> Any:
    warm = max(1, min(300, steps // 10))
    rate = tf.keras.optimizers.schedules.CosineDecay(
        0.0, steps - warm, warmup_target=plan.rate, warmup_steps=warm
    )
    # The averaged weights remember about the last tenth of the run.
    remember = max(0.9, 1 - 10 / steps)
    return tf.keras.optimizers.AdamW(
        rate, weight_decay=1e-4, clipnorm=10.0, use_ema=True, ema_momentum=remember
    )


def _state(folder: Path, model: Any, optimizer: Any) -> Any:
    done = tf.Variable(0, dtype=tf.int64)
    saved = tf.train.Checkpoint(model=model, optimizer=optimizer, epochs_done=done)
    keeper = tf.train.CheckpointManager(saved, str(folder), max_to_keep=1)
    if keeper.latest_checkpoint:
        saved.restore(keeper.latest_checkpoint)
        print(f"going on after epoch {int(done)}", flush=True)
    return done, keeper


def learn(
    model: Any,
    loss: Callable[[Any, Any], Any],
    batches: Callable[[int], Iterator[Batch]],
    steps_per_epoch: int,
    plan: Plan,
    folder: Path,
) -> None:
    """Train a model in place; at the end it holds the averaged weights.

    Args:
        model: A Keras model.
        loss: Of the model's output and a batch's truth.
        batches: The pictures (uint8) and truths of an epoch, by its number.
        steps_per_epoch: How many batches that yields.
        plan: See `Plan`.
        folder: For checkpoints and the learning curve.
    """
    optimizer = _optimizer(plan, plan.epochs * steps_per_epoch)
    optimizer.build(model.trainable_variables)

    def step(images: Any, truths: Any) -> Any:
        with tf.GradientTape() as tape:
            value = loss(model(tf.cast(images, tf.float32), training=True), truths)
        slopes = tape.gradient(value, model.trainable_variables)
        optimizer.apply_gradients(zip(slopes, model.trainable_variables, strict=True))
        return value

    fast = tf.function(step, reduce_retracing=True)
    done, keeper = _state(folder, model, optimizer)
    started, first = time.monotonic(), int(done)
    for epoch in range(first, plan.epochs):
        total = 0.0
        for number, (images, truths) in enumerate(batches(epoch), start=1):
            total += float(fast(images, truths))
            if number % 50 == 0:
                gone = (epoch - first) * steps_per_epoch + number
                left = (plan.epochs - first) * steps_per_epoch - gone
                eta = (time.monotonic() - started) / gone * left / 60
                print(
                    f"epoch {epoch + 1}/{plan.epochs} step {number}/{steps_per_epoch} "
                    f"loss {total / number:.4f} {eta:.1f} min to go",
                    flush=True,
                )
        done.assign(epoch + 1)
        keeper.save()
        with (folder / "curve.jsonl").open("a") as curve:
            curve.write(json.dumps({"epoch": epoch + 1, "loss": total / steps_per_epoch}) + "\n")
    optimizer.finalize_variable_values(model.trainable_variables)
