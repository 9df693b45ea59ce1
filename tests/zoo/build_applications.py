"""Architectures of keras.applications with random weights, in every format, whole and fine-tuned.

Run as a program: `python -m zoo.build_applications FOLDER NAME [FORM...]`. `whole` is the model of
the application; `tuned` has its base with another head, `nested` has it as a layer; `scaled` is
`nested` behind the family's preprocess_input.
"""

from __future__ import annotations

import logging
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np

from zoo import plain
from zoo.build_toys import convert
from zoo.plain import Array, Shelf

L = keras.layers
FORMS = ("keras", "h5", "savedmodel", "tflite", "float16", "uint8")
apps = keras.applications


@dataclass(frozen=True)
class Application:
    """One architecture of a family."""

    module: Any
    side: int = 32
    options: tuple[tuple[str, object], ...] = ()


APPLICATIONS = {
    "ConvNeXtTiny": Application(apps.convnext),
    "DenseNet121": Application(apps.densenet),
    "EfficientNetB0": Application(apps.efficientnet),
    "EfficientNetV2B0": Application(apps.efficientnet_v2),
    "EfficientNetV2S": Application(apps.efficientnet_v2),
    "InceptionResNetV2": Application(apps.inception_resnet_v2, 75),
    "InceptionV3": Application(apps.inception_v3, 75),
    "MobileNet": Application(apps.mobilenet, 32, (("alpha", 0.25),)),
    "MobileNetV2": Application(apps.mobilenet_v2, 32, (("alpha", 0.35),)),
    "MobileNetV3Large": Application(apps.mobilenet_v3),
    "MobileNetV3Small": Application(apps.mobilenet_v3),
    "NASNetMobile": Application(apps.nasnet, 224),
    "ResNet50": Application(apps.resnet),
    "ResNet50V2": Application(apps.resnet_v2),
    "VGG16": Application(apps.vgg16),
    "VGG19": Application(apps.vgg19),
    "Xception": Application(apps.xception, 71),
}


def base_of(name: str, app: Application) -> keras.Model:
    """Without its head, weights random; batch normalization keeps what it begins with."""
    keras.utils.set_random_seed(9)
    return getattr(apps, name)(
        weights=None, include_top=False, input_shape=(app.side, app.side, 3), **dict(app.options)
    )


def headed(entry: Any, features: Any, batch: Array) -> keras.Model:
    """With a head whose probabilities of the pictures differ clearly."""
    pooled = L.GlobalAveragePooling2D()(features)
    last = L.Dense(len(plain.LABELS))
    model = keras.Model(entry, L.Softmax()(last(pooled)))
    seen = keras.Model(entry, pooled)(batch, training=False).numpy()
    kernel = last.get_weights()[0]
    kernel = kernel * (2.0 / max(float(np.std((seen - seen.mean(0)) @ kernel)), 1e-12))
    last.set_weights([kernel, -(seen.mean(0) @ kernel)])
    return model


def variants(name: str, app: Application, pictures: dict[str, Array]) -> Any:
    """Each model with what its author gives it."""

    def family(pixels: Array) -> Array:
        return np.asarray(app.module.preprocess_input(pixels.copy()), np.float32)

    raw = np.stack([pixels.astype(np.float32) for pixels in pictures.values()])
    base = base_of(name, app)
    yield "tuned", headed(base.input, base.output, family(raw)), family
    entry = keras.Input((app.side, app.side, 3))
    yield "nested", headed(entry, base(entry, training=False), family(raw)), family
    entry = keras.Input((app.side, app.side, 3))
    inside = base(app.module.preprocess_input(entry), training=False)
    yield "scaled", headed(entry, inside, raw), plain.as_it_is


def main(folder: Path, name: str, forms: list[str]) -> None:
    """Writes one architecture's models in all forms."""
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    app = APPLICATIONS[name]
    pictures = plain.discs(app.side, folder / "pictures")
    shelf = Shelf(folder)
    for variant, model, prepare in variants(name, app, pictures):
        for form in forms:
            place = shelf.place(f"{name}-{variant}-{form}")
            step = 0.0
            if form in {"keras", "h5"}:
                model.save(place / f"model.{form}")
            elif form == "savedmodel":
                model.export(place, verbose=False)
            else:
                content = convert(model, form, prepare, pictures)
                (place / "model.tflite").write_bytes(content)
                rows, step = plain.tflite_answers(content, pictures, prepare)
            if form in {"keras", "h5", "savedmodel"}:
                rows = {
                    key: model(prepare(pixels[np.newaxis].astype(np.float32)), training=False)
                    for key, pixels in pictures.items()
                }
            shelf.expect(place.name, rows, step)
    shelf.write()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], sys.argv[3:] or list(FORMS))
