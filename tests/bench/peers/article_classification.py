"""The classification article's way: Flask's development server around ``model.predict``.

Written after the article's description: the picture comes as a form's file, Pillow decodes and
resizes it, Keras predicts, the five best are answered.
"""

from __future__ import annotations

import io
import os
from pathlib import Path

import keras
import numpy as np
from flask import Flask, Response, jsonify, request
from PIL import Image

app = Flask(__name__)
model = keras.models.load_model(os.environ["BENCH_MODEL"])
labels = Path(os.environ["BENCH_LABELS"]).read_text(encoding="utf-8").splitlines()


@app.post("/predict")
def predict() -> Response:
    """The five most probable classes of the posted picture."""
    picture = Image.open(io.BytesIO(request.files["image"].read()))
    pixels = np.asarray(picture.convert("RGB").resize((224, 224)), np.float32)[np.newaxis]
    scores = model.predict(keras.applications.resnet50.preprocess_input(pixels))[0]
    best = np.argsort(scores)[: -5 - 1 : -1]
    return jsonify(
        {
            "predictions": [
                {"label": labels[index], "probability": float(scores[index])} for index in best
            ],
            "success": True,
        }
    )


if __name__ == "__main__":
    app.run(host="127.0.0.1", port=int(os.environ["BENCH_PORT"]))
