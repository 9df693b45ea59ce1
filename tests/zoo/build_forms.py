"""Models whose form is what people stumble over: signatures, strings, boxes, one output, old files.

Run as a program: `python -m zoo.build_forms FOLDER`. Everything is computed from the pixels, so
that a wrong order of channels, coordinates or classes gives a wrong answer.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import h5py
import keras
import numpy as np
import tensorflow as tf
from PIL import Image, ImageDraw

from zoo import plain
from zoo.plain import Shelf

L = keras.layers
SIDE = 160
# (ymin, xmin, ymax, xmax): where the red and the blue block are, as fractions.
BLOCKS = (((0.5, 0.1, 0.75, 0.8), (220, 30, 30)), ((0.1, 0.7, 0.4, 0.9), (30, 60, 220)))
NAMES = ("red block", "blue block")
PBTXT = "".join(
    f"item {{\n  name: '{name}'\n  id: {index + 1}\n}}\n" for index, name in enumerate(NAMES)
)


def blocks_picture(folder: Path) -> Any:
    """The picture that detectors are asked about; not square."""
    image = Image.new("RGB", (2 * SIDE, SIDE), (120, 130, 125))
    draw = ImageDraw.Draw(image)
    for (top, left, bottom, right), colour in BLOCKS:
        draw.rectangle(
            (left * 2 * SIDE, top * SIDE, right * 2 * SIDE - 1, bottom * SIDE - 1), fill=colour
        )
    image.save(folder / "blocks.png")
    return np.asarray(image)


def found_boxes(x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Boxes [2, 4] (yxyx, fractions) and scores [2] of the red and the blue block in [1, H, W, 3].

    Pixels are 0 to 1. What is not there has an empty box and no score.
    """
    red, green, blue = (x[0, :, :, channel] for channel in range(3))
    boxes, scores = [], []
    for mask, score in (
        ((red > 0.6) & (green < 0.35) & (blue < 0.35), 0.875),
        ((blue > 0.6) & (green < 0.45) & (red < 0.35), 0.75),
    ):
        spans = [span(tf.reduce_sum(tf.cast(mask, tf.int32), axis) > 4) for axis in (1, 0)]
        (top, bottom), (left, right) = spans
        boxes.append(tf.stack([top, left, bottom, right]))
        scores.append(tf.where(bottom * right > 0, score, 0.0))
    return tf.stack(boxes), tf.stack(scores)


def span(there: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    size = tf.cast(tf.size(there), tf.float32)
    index = tf.cast(tf.where(there)[:, 0], tf.float32)
    some = tf.size(index) > 0
    first = tf.cond(some, lambda: tf.reduce_min(index) / size, lambda: 0.0)
    last = tf.cond(some, lambda: (tf.reduce_max(index) + 1) / size, lambda: 0.0)
    return first, last


class ObjectDetectionApi(tf.Module):  # type: ignore[misc]  # TensorFlow is untyped
    """The signature of the TF Object Detection API; AutoML's EfficientDet has it in pixels."""

    def __init__(self, *, pixels: bool) -> None:
        super().__init__(name="od_api")
        self._pixels = pixels
        spec = tf.TensorSpec([1, None, None, 3], tf.uint8, "input_tensor")
        self.serve = tf.function(self._serve, input_signature=[spec])

    def _serve(self, input_tensor: tf.Tensor) -> dict[str, tf.Tensor]:
        boxes, scores = found_boxes(tf.cast(input_tensor, tf.float32) / 255.0)
        if self._pixels:
            size = tf.cast(tf.shape(input_tensor)[1:3], tf.float32)
            boxes *= tf.concat([size, size], 0)
        return {
            "detection_boxes": boxes[tf.newaxis],
            "detection_classes": tf.constant([[1.0, 2.0]]),
            "detection_scores": scores[tf.newaxis],
            "num_detections": tf.constant([2.0]),
        }


class Suppressed(tf.Module):  # type: ignore[misc]  # TensorFlow is untyped
    """Through combined_non_max_suppression, names lost; in YOLOv5's order of numbers or not."""

    def __init__(self, *, xyxy: bool, order: tuple[int, ...] = (0, 1, 2, 3)) -> None:
        super().__init__(name="suppressed")
        self._xyxy, self._order = xyxy, order
        spec = tf.TensorSpec([1, SIDE, SIDE, 3], tf.float32, "x")
        self.serve = tf.function(self._serve, input_signature=[spec])

    def _serve(self, x: tf.Tensor) -> dict[str, tf.Tensor]:
        boxes, scores = found_boxes(x)
        if self._xyxy:
            boxes = tf.gather(boxes, [1, 0, 3, 2], axis=1)
        by_class = tf.linalg.diag(scores)
        found = tf.image.combined_non_max_suppression(
            boxes[tf.newaxis, :, tf.newaxis], by_class[tf.newaxis], 20, 20, 0.45, 0.25,
            clip_boxes=False,
        )  # fmt: skip
        return {f"output_{place}": found[index] for place, index in enumerate(self._order)}


class Yolo(tf.Module):  # type: ignore[misc]  # TensorFlow is untyped
    """YOLO's undecoded output: cells of strides 8, 16 and 32, most of them empty."""

    def __init__(self, form: str, *, pixels: bool) -> None:
        super().__init__(name="yolo")
        self._form, self._scale = form, float(SIDE) if pixels else 1.0
        spec = tf.TensorSpec([1, SIDE, SIDE, 3], tf.float32, "images")
        self.serve = tf.function(self._serve, input_signature=[spec])

    def _serve(self, images: tf.Tensor) -> dict[str, tf.Tensor]:
        boxes, scores = found_boxes(images)
        corner, size = boxes[:, :2], boxes[:, 2:] - boxes[:, :2]
        centre = tf.reverse(corner + size / 2, [1])
        rows = tf.concat([centre, tf.reverse(size, [1])], 1) * self._scale
        by_class = tf.linalg.diag(scores)
        if self._form == "yolov5":
            by_class = tf.concat([tf.ones([2, 1]), by_class], 1)
        rows = tf.concat([rows, by_class], 1)
        cells = sum((SIDE // stride) ** 2 for stride in (8, 16, 32))
        cells *= 3 if self._form == "yolov5" else 1
        # Every object is found twice, as neighbouring cells do.
        rows = tf.concat([rows, rows * 0.99], 0)
        rows = tf.pad(rows, [[7, cells - 11], [0, 0]])[tf.newaxis]
        return {"output_0": tf.transpose(rows, [0, 2, 1]) if self._form == "yolov8" else rows}


def detectors(shelf: Shelf, picture: Any) -> None:
    """SavedModels of detectors, with label files of the kind that comes with each."""
    modules: dict[str, Any] = {
        "od-api": ObjectDetectionApi(pixels=False),
        "od-api-pixels": ObjectDetectionApi(pixels=True),
        "nms-yxyx": Suppressed(xyxy=False),
        "nms-xyxy": Suppressed(xyxy=True),
        "nms-shuffled": Suppressed(xyxy=False, order=(3, 2, 0, 1)),
        "yolov5": Yolo("yolov5", pixels=False),
        "yolov5-pixels": Yolo("yolov5", pixels=True),
        "yolov8": Yolo("yolov8", pixels=False),
        "yolov8-pixels": Yolo("yolov8", pixels=True),
    }
    right = [[name, score, *box] for name, score, (box, _) in
             zip(NAMES, (0.875, 0.75), BLOCKS, strict=True)]  # fmt: skip
    for name, module in modules.items():
        place = shelf.place(name, labels=() if name.startswith("od-api") else NAMES)
        folder = place
        if name.startswith("od-api"):
            (place / "label_map.pbtxt").write_text(PBTXT)
            folder = place / "saved_model"  # as the API's exporter has it
        tf.saved_model.save(module, str(folder), signatures={"serving_default": module.serve})
        # One pixel of the model's input.
        shelf.expected[name] = {"detections": {"blocks": right}, "step": 1.5 / SIDE}


def decoded(content: tf.Tensor) -> tf.Tensor:
    return tf.map_fn(
        lambda item: tf.image.resize(tf.io.decode_png(item, channels=3), [32, 32]),
        content,
        fn_output_signature=tf.float32,
    )


def colour_scores(pixels: tf.Tensor) -> tf.Tensor:
    return tf.nn.softmax(tf.reduce_mean(pixels, [1, 2]) / 20.0)


class FromStrings(tf.Module):  # type: ignore[misc]  # TensorFlow is untyped
    """A colour classifier of encoded pictures, of base64, or of tf.Examples."""

    def __init__(self, kind: str) -> None:
        super().__init__(name="from_strings")
        self._kind = kind
        spec = tf.TensorSpec([None], tf.string, "content")
        self.serve = tf.function(self._serve, input_signature=[spec])

    def _serve(self, content: tf.Tensor) -> dict[str, tf.Tensor]:
        if self._kind == "base64":
            content = tf.io.decode_base64(content)
        if self._kind == "example":
            features = {"image/encoded": tf.io.FixedLenFeature([], tf.string)}
            content = tf.io.parse_example(content, features)["image/encoded"]
        return {"probabilities": colour_scores(decoded(content))}


class ChannelsFirst(tf.Module):  # type: ignore[misc]  # TensorFlow is untyped
    """As converters from PyTorch make them: [1, 3, H, W], with ImageNet's mean in the graph."""

    @tf.function(input_signature=[tf.TensorSpec([1, 3, 32, 32], tf.float32, name="x")])  # type: ignore[untyped-decorator]
    def serve(self, x: tf.Tensor) -> dict[str, tf.Tensor]:
        mean = tf.constant([0.485, 0.456, 0.406], shape=[1, 3, 1, 1])
        std = tf.constant([0.229, 0.224, 0.225], shape=[1, 3, 1, 1])
        normal = (x - mean) / std
        kernel = tf.eye(3)[tf.newaxis, tf.newaxis] * 2.0
        y = tf.nn.conv2d(tf.transpose(normal, [0, 2, 3, 1]), kernel, 1, "SAME")
        return {"y": tf.nn.softmax(tf.reduce_mean(y, [1, 2]))}


def classifiers(shelf: Shelf, pictures: dict[str, Any]) -> None:
    """SavedModels and Keras files of classifiers in unusual forms."""
    for kind in ("encoded", "base64", "example"):
        module = FromStrings(kind)
        place = shelf.place(f"strings-{kind}", labels=("r", "g", "b"))
        tf.saved_model.save(module, str(place), signatures={"serving_default": module.serve})
        shelf.expect(place.name, {
            name: colour_scores(tf.image.resize(pixels[np.newaxis], [32, 32]))
            for name, pixels in pictures.items()
        })  # fmt: skip
    first = ChannelsFirst()
    place = shelf.place("channels-first", labels=("r", "g", "b"))
    tf.saved_model.save(first, str(place), signatures={"serving_default": first.serve})
    shelf.expect(place.name, {
        name: first.serve(plain.unit(pixels[np.newaxis]).transpose(0, 3, 1, 2))["y"]
        for name, pixels in pictures.items()
    })  # fmt: skip
    for activation in ("sigmoid", None):
        binary(shelf, pictures, activation)
    logits(shelf, pictures)
    keras_2(shelf, pictures, groups=1)
    keras_2(shelf, pictures, groups=3)


def features(entry: Any) -> Any:
    keras.utils.set_random_seed(4)
    x = L.Conv2D(6, 3, activation="relu", bias_initializer="random_normal")(
        L.Rescaling(1 / 255)(entry)
    )
    return L.GlobalAveragePooling2D()(x)


def binary(shelf: Shelf, pictures: dict[str, Any], activation: str | None) -> None:
    """One output for two labels, of the second."""
    entry = keras.Input((32, 32, 3))
    last = L.Dense(1, activation=activation, kernel_initializer=keras.initializers.Constant(3.0))
    model = keras.Model(entry, last(features(entry)))
    place = shelf.place(f"binary-{activation or 'logits'}", labels=("cat", "dog"))
    model.save(place / "model.keras")
    answers = {}
    for name, pixels in pictures.items():
        value = float(np.ravel(model(pixels[np.newaxis].astype(np.float32), training=False))[0])
        second = value if activation else 1 / (1 + np.exp(-value))
        answers[name] = np.array([1 - second, second])
    shelf.expect(place.name, answers)


def logits(shelf: Shelf, pictures: dict[str, Any]) -> None:
    """No activation at the end; logits of some pictures look like probabilities."""
    entry = keras.Input((32, 32, 3))
    model = keras.Model(entry, L.Dense(2)(features(entry)))
    place = shelf.place("logits", labels=("cat", "dog"))
    model.export(place, verbose=False)
    batch = {name: pixels[np.newaxis].astype(np.float32) for name, pixels in pictures.items()}
    shelf.expect(place.name, {
        name: tf.nn.softmax(model(pixels, training=False)) for name, pixels in batch.items()
    })  # fmt: skip


def keras_2(shelf: Shelf, pictures: dict[str, Any], groups: int) -> None:
    """A file as Keras 2 wrote it: `groups` in DepthwiseConv2D, which Keras 3 does not know."""
    entry = keras.Input((32, 32, 3))
    keras.utils.set_random_seed(4)
    x = L.GlobalAveragePooling2D()(L.DepthwiseConv2D(3)(L.Rescaling(1 / 127.5, -1)(entry)))
    model = keras.Model(entry, L.Dense(2, activation="softmax")(x))
    place = shelf.place(f"keras-2-groups-{groups}", labels=("0 Class 1", "1 Class 2"))
    model.save(place / "keras_model.h5")
    with h5py.File(place / "keras_model.h5", "a") as file:
        config = json.loads(file.attrs["model_config"])
        for layer in config["config"]["layers"]:
            if layer["class_name"] == "DepthwiseConv2D":
                layer["config"]["groups"] = groups
        file.attrs["model_config"] = json.dumps(config)
        file.attrs["keras_version"] = "2.4.0"
    batch = {name: pixels[np.newaxis].astype(np.float32) for name, pixels in pictures.items()}
    shelf.expect(
        place.name, {name: model(pixels, training=False) for name, pixels in batch.items()}
    )


def main(folder: Path) -> None:
    """Writes all of them."""
    shelf = Shelf(folder)
    pictures = plain.discs(32, folder / "pictures")
    detectors(shelf, blocks_picture(folder / "pictures"))
    classifiers(shelf, pictures)
    shelf.write()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
