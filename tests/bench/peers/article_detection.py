"""The detection article's way: Flask's development server around a TensorFlow SavedModel.

Written after the article's description of its service, not after its code: the body is the
picture, TensorFlow runs the detector in its object-detection signature, the boxes are drawn, and
the answer is JSON with the annotated picture as nested lists.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import tensorflow as tf
from flask import Flask, Response, abort, jsonify, request

app = Flask(__name__)
detector = tf.saved_model.load(os.environ["BENCH_MODEL"]).signatures["serving_default"]
labels = Path(os.environ["BENCH_LABELS"]).read_text(encoding="utf-8").splitlines()


@app.post("/object_detection")
def object_detection() -> Response:
    """Detections, size and the annotated picture of the posted one."""
    pixels = cv2.imdecode(np.frombuffer(request.get_data(), np.uint8), cv2.IMREAD_COLOR)
    if pixels is None:
        abort(400)
    height, width = pixels.shape[:2]
    found: dict[str, Any] = detector(tf.convert_to_tensor(pixels[np.newaxis, :, :, ::-1]))
    detections = []
    for edges, number, score in zip(
        found["detection_boxes"][0].numpy(),
        found["detection_classes"][0].numpy(),
        found["detection_scores"][0].numpy(),
        strict=True,
    ):
        if score < 0.5:
            continue
        label = labels[int(number) - 1]
        detections.append({label: f"{score:.0%}"})
        top, left, bottom, right = edges
        start = (int(left * width), int(top * height))
        end = (int(right * width), int(bottom * height))
        cv2.rectangle(pixels, start, end, (0, 200, 0), 2)
        cv2.putText(pixels, label, start, cv2.FONT_HERSHEY_SIMPLEX, 0.6, (0, 200, 0), 2)
    return jsonify(
        {
            "detections": detections,
            "image size": f"size={width}x{height}",
            "image data": pixels.tolist(),
        }
    )


if __name__ == "__main__":
    app.run(host="127.0.0.1", port=int(os.environ["BENCH_PORT"]))
