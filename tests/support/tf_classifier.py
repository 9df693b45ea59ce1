"""Make a small Keras classifier with fixed random weights, and what it answers for one picture.

Run as a program, so that TensorFlow is never imported into the test process:
`python tf_classifier.py PICTURE FOLDER` writes FOLDER/model.keras, FOLDER/saved_model/ (with
labels.txt in each place) and FOLDER/expected.json, the class probabilities of PICTURE.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import keras
import numpy as np
from PIL import Image

LABELS = ["alpha", "beta", "gamma", "delta", "epsilon", "zeta"]
SIZE = 48
# Wide enough that the six probabilities differ clearly.
SPREAD = keras.initializers.RandomNormal(stddev=8.0, seed=7)


def build() -> keras.Model:
    """A small convolutional classifier: uint8-range RGB in, softmax over LABELS out."""
    keras.utils.set_random_seed(7)
    return keras.Sequential(
        [
            keras.Input((SIZE, SIZE, 3)),
            keras.layers.Rescaling(1 / 255),
            keras.layers.Conv2D(8, 3, activation="relu"),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(len(LABELS), kernel_initializer=SPREAD),
            keras.layers.Softmax(),
        ]
    )


def main(picture: Path, folder: Path) -> None:
    """Write the models and the expected answer."""
    model = build()
    model.save(folder / "model.keras")
    model.export(folder / "saved_model", verbose=False)
    for place in (folder, folder / "saved_model"):
        (place / "labels.txt").write_text("\n".join(LABELS) + "\n")
    image = Image.open(picture).convert("RGB").resize((SIZE, SIZE), Image.Resampling.BILINEAR)
    probabilities = model.predict(np.asarray(image, np.float32)[None], verbose=0)[0]
    expected = dict(zip(LABELS, map(float, probabilities), strict=True))
    (folder / "expected.json").write_text(json.dumps(expected))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
