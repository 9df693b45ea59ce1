"""Make a folder of TensorFlow models and what each answers, by TensorFlow and Keras alone.

Run as a program, so that TensorFlow is never imported into the test process:
`python tf_models.py PICTURE FOLDER` writes FOLDER/models/NAME/... and FOLDER/expected.json. The
names: `resnet50` (Keras, labels as JSON), `single` and `multi` (SavedModels with the signature of
the TF Object Detection API, taking one picture or many; labels as pbtxt and as text).
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

CLASSES = 12
SIZE = (224, 224)


def resnet50(picture: Path, folder: Path) -> dict[str, Any]:
    """ResNet50 with fixed random weights; the article's steps, in Keras's own words."""
    keras.utils.set_random_seed(3)
    model = keras.applications.ResNet50(weights=None, classes=CLASSES)
    folder.mkdir(parents=True)
    pixels = keras.utils.img_to_array(keras.utils.load_img(picture, target_size=SIZE))
    prepared = keras.applications.resnet50.preprocess_input(pixels[np.newaxis].copy())
    spread_out(model, prepared)
    model.save(folder / "model.keras")
    names = {str(k): [f"n{k:08d}", f"breed {k}"] for k in range(CLASSES)}
    (folder / "labels.json").write_text(json.dumps(names))
    # What a test could not tell from the right answer would prove nothing.
    wrong = {"unscaled": pixels[np.newaxis], "rgb": prepared[..., ::-1]}
    # Called, not `predict`: tracing a graph for three pictures would take longer than they do.
    answers = model(np.concatenate([prepared, *wrong.values()]), training=False).numpy()
    return {name: row.tolist() for name, row in zip(("right", *wrong), answers, strict=True)}


def spread_out(model: keras.Model, prepared: Any) -> None:
    """Scale the last layer so that the probabilities of one picture differ clearly."""
    last = model.layers[-1]
    features = keras.Model(model.inputs, last.input)(prepared, training=False).numpy()
    kernel, bias = last.get_weights()
    last.set_weights([kernel * (3.0 / np.std(features @ kernel)), bias])


class BrightSpot(tf.Module):  # type: ignore[misc]  # TensorFlow is untyped
    """A detector: its first box is around all pixels brighter than 200, of class 2."""

    def __init__(self, batch: int | None) -> None:
        super().__init__(name="bright_spot")
        spec = tf.TensorSpec([batch, None, None, 3], tf.uint8, "input_tensor")
        self.serve = tf.function(self._detect, input_signature=[spec])

    def _detect(self, input_tensor: tf.Tensor) -> dict[str, tf.Tensor]:
        bright = tf.reduce_max(input_tensor, axis=3) > 200
        top, bottom = edges(tf.reduce_any(bright, axis=2))
        left, right = edges(tf.reduce_any(bright, axis=1))
        spot = tf.stack([top, left, bottom, right], axis=1)
        whole = tf.ones_like(spot) * [0.0, 0.0, 1.0, 1.0]
        boxes = tf.stack([spot, whole, tf.zeros_like(spot)], axis=1)
        ones = tf.ones_like(top)[:, tf.newaxis]
        # Everything that the API's exporter puts beside the four that matter.
        return {
            "detection_boxes": boxes,
            "detection_classes": ones * [2.0, 1.0, 1.0],
            "detection_scores": ones * [0.875, 0.5, 0.0],
            "num_detections": ones[:, 0] * 3.0,
            "detection_anchor_indices": ones * [0.0, 1.0, 2.0],
            "detection_multiclass_scores": ones[:, :, tf.newaxis] * tf.ones([1, 3, 3]),
            "raw_detection_boxes": tf.tile(boxes, [1, 4, 1]),
            "raw_detection_scores": ones[:, :, tf.newaxis] * tf.ones([1, 12, 3]),
        }


def edges(any_bright: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Where the first and after the last true value of each row is, as fractions."""
    flags = tf.cast(any_bright, tf.int32)
    length = tf.shape(flags)[1]
    first = tf.argmax(flags, axis=1, output_type=tf.int32)
    last = length - tf.argmax(tf.reverse(flags, [1]), axis=1, output_type=tf.int32)
    scale = tf.cast(length, tf.float32)
    return tf.cast(first, tf.float32) / scale, tf.cast(last, tf.float32) / scale


def detector(folder: Path, batch: int | None, labels: tuple[str, str]) -> None:
    """Write one of the two SavedModels."""
    module = BrightSpot(batch)
    tf.saved_model.save(module, str(folder), signatures={"serving_default": module.serve})
    (folder / labels[0]).write_text(labels[1])


def main(picture: Path, folder: Path) -> None:
    """Write the models and the expected answers."""
    models = folder / "models"
    expected = {"resnet50": resnet50(picture, models / "resnet50")}
    pbtxt = 'item {\n  id: 1\n  name: "lamp"\n}\nitem {\n  id: 2\n  name: "sun"\n}\n'
    detector(models / "single", 1, ("label_map.pbtxt", pbtxt))
    detector(models / "multi", None, ("labels.txt", "lamp\nsun\n"))
    (folder / "expected.json").write_text(json.dumps(expected))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
