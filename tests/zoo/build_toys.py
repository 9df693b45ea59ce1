"""Four-class toys with their scaling in the graph, in every way people write it, and formats.

Run as a program: `python -m zoo.build_toys FOLDER [FORM...]`. Weights are random, and large enough
that a wrong range gives a wrong answer.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import tensorflow as tf

from zoo import plain
from zoo.plain import Array, Prepare, Shelf

SIDE = 32
FORMS = ("keras", "h5", "savedmodel", "tflite", "float16", "dynamic", "uint8")
QUANTIZED = ("uint8", "int8")
L = keras.layers


@dataclass(frozen=True)
class Toy:
    """How a model begins, and what its author gives it."""

    begin: Callable[[Any], Any]
    prepare: Prepare = plain.as_it_is
    dtype: str = "float32"


def trained_norm(x: Any) -> Any:
    """A batch normalization that has seen pixels 0 to 255."""
    layer = L.BatchNormalization()
    made = layer(x)
    layer.set_weights(
        [np.ones(3), np.zeros(3), np.array([120.0, 110, 100]), np.array([4000.0, 3900, 4100])]
    )
    return made


def nested(x: Any) -> Any:
    inner = keras.Sequential(
        [keras.Input((SIDE, SIDE, 3)), L.RandomFlip("horizontal"), L.Rescaling(1 / 255)]
    )
    return inner(x)


def standardized(x: Any) -> Any:
    mean = keras.ops.mean(x, axis=(1, 2, 3), keepdims=True)
    return (x - mean) / keras.ops.sqrt(
        keras.ops.mean(keras.ops.square(x - mean), axis=(1, 2, 3), keepdims=True) + 1.0
    )


apps = keras.applications
TOYS = {
    "rescaling": Toy(L.Rescaling(1 / 255)),
    "rescaling_signed": Toy(L.Rescaling(1 / 127.5, -1)),
    "normalization": Toy(L.Normalization(mean=[120.0, 110, 100], variance=[4000.0, 3900, 4100])),
    "divided": Toy(lambda x: x / 255.0),
    "arithmetic": Toy(lambda x: (x - 127.5) / 127.5),
    "multiplied": Toy(lambda x: x * (1 / 127.5) - 1.0),
    "augmented": Toy(lambda x: L.Rescaling(1 / 255)(L.RandomContrast(0.2)(L.RandomFlip()(x)))),
    "resized": Toy(lambda x: L.Rescaling(1 / 255)(L.Resizing(24, 24)(x))),
    "nested": Toy(nested),
    "preprocess_tf": Toy(apps.mobilenet_v2.preprocess_input),
    "preprocess_caffe": Toy(apps.resnet50.preprocess_input),
    "preprocess_torch": Toy(apps.densenet.preprocess_input),
    "trained_norm": Toy(trained_norm),
    "standardized": Toy(standardized),
    "bytes": Toy(L.Rescaling(1 / 255), dtype="uint8"),
    "takes_unit": Toy(L.Rescaling(2.0, -1.0), plain.unit),
    "takes_unit_torch": Toy(
        L.Normalization(mean=[0.485, 0.456, 0.406], variance=[0.229**2, 0.224**2, 0.225**2]),
        plain.unit,
    ),
    "takes_signed": Toy(L.Rescaling(0.5, 0.5), plain.signed),
    # Nothing in these tells: they must be marked as assumed.
    "bare_unit": Toy(lambda x: x, plain.unit),
    "bare_signed": Toy(lambda x: x, plain.signed),
    "bare_caffe": Toy(lambda x: x, plain.caffe),
}


def build(toy: Toy, pictures: dict[str, Array]) -> keras.Model:
    """A small network behind the toy's beginning, its probabilities clearly apart."""
    keras.utils.set_random_seed(11)
    entry = keras.Input((SIDE, SIDE, 3), dtype=toy.dtype)
    x = L.Conv2D(8, 3, strides=2, bias_initializer="random_normal")(toy.begin(entry))
    features = L.GlobalAveragePooling2D()(L.Activation("relu")(x))
    last = L.Dense(len(plain.LABELS), name="scores")
    model = keras.Model(entry, L.Softmax()(last(features)))
    batch = np.stack([toy.prepare(p.astype(np.float32)) for p in pictures.values()])
    seen = keras.Model(entry, features)(batch, training=False).numpy()
    kernel, bias = last.get_weights()
    last.set_weights([kernel * (2.0 / np.std((seen - seen.mean(0)) @ kernel)), bias])
    last.set_weights([last.get_weights()[0], -(seen.mean(0) @ last.get_weights()[0])])
    return model


def save(model: keras.Model, form: str, place: Path, toy: Toy, pictures: dict[str, Array]) -> Any:
    """Writes one form; returns what it answers, and its output's quantization step."""
    if form in {"keras", "h5"}:
        model.save(place / f"model.{form}")
    elif form == "savedmodel":
        model.export(place, verbose=False)
    else:
        content = convert(model, form, toy.prepare, pictures)
        (place / "model.tflite").write_bytes(content)
        return plain.tflite_answers(content, pictures, toy.prepare)
    rows = {}
    for name, pixels in pictures.items():
        batch = toy.prepare(pixels[np.newaxis].astype(np.float32)).astype(toy.dtype)
        rows[name] = model(batch, training=False).numpy()[0]
    return rows, 0.0


def convert(model: keras.Model, form: str, prepare: Prepare, pictures: dict[str, Array]) -> bytes:
    """The converter's guide, form by form."""
    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    if form != "tflite":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if form == "float16":
        converter.target_spec.supported_types = [tf.float16]
    if form in QUANTIZED:
        converter.representative_dataset = plain.representative(pictures, prepare)
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        kind = tf.uint8 if form == "uint8" else tf.int8
        converter.inference_input_type = converter.inference_output_type = kind
    return bytes(converter.convert())


def main(folder: Path, forms: list[str]) -> None:
    """Writes every toy in every form that can be."""
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    pictures = plain.discs(SIDE, folder / "pictures")
    shelf = Shelf(folder)
    for name, toy in TOYS.items():
        model = build(toy, pictures)
        for form in forms:
            if form in QUANTIZED and toy.dtype != "float32":
                continue  # the converter does not calibrate bytes
            place = shelf.place(f"{name}-{form}")
            rows, step = save(model, form, place, toy, pictures)
            shelf.expect(place.name, rows, step)
    shelf.write()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:] or list(FORMS))
