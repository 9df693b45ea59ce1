"""Collects a model's answers to pictures and measures its speed, through the server's data plane.

The answers are what a client gets: labels and scores, after the same decoding, resizing and scaling
as in the server.
"""

import time

import numpy as np

from model_server.errors import ConversionFailed, InvalidPictures, RequestError
from model_server.models.base import TensorSpec
from model_server.optimize.drift import Scores
from model_server.optimize.pictures import Sample
from model_server.request.context import RequestContext
from model_server.vision.detection import Selection
from model_server.vision.inference import VisionModel
from model_server.vision.preprocessing import picture_input, picture_size

_TIMED = 10
# A detector's boxes with lower scores are noise.
_LEAST_SCORE = 0.05
_MOST_BOXES = 100


def picture_spec(vision: VisionModel) -> TensorSpec:
    """Returns the picture input, which has a fixed size.

    Raises:
        ConversionFailed: if the model has no such input, or its answers have no labels and scores.
    """
    spec = picture_input(vision.info)
    if spec is None or vision.task == "tensor":
        raise ConversionFailed(
            f"the model {vision.name} is neither a classifier nor a detector of pictures, so its "
            "answers cannot be compared; serve it as it is"
        )
    if picture_size(spec) is None:
        raise ConversionFailed(
            f"the model {vision.name} takes pictures of any size, but a tflite model has one size; "
            "export it with a fixed input, or serve it as it is"
        )
    return spec


def answer(vision: VisionModel, sample: Sample) -> Scores:
    """Returns the score of each class in one picture; for a detector, that of the class's best box.

    Raises:
        InvalidPictures: if the picture is rejected or the model fails on it.
    """
    context = RequestContext(request_id="optimize")
    try:
        if vision.task == "detection":
            selection = Selection(_LEAST_SCORE, _MOST_BOXES)
            best: dict[str, float] = {}
            for item in vision.detect(sample.data, selection, context).detections:
                best[item.label] = max(best.get(item.label, 0.0), item.score)
            return best
        classes = vision.classify(sample.data, len(vision.class_names), context)
    except RequestError as error:
        raise InvalidPictures(f"--pictures: {sample.name}: {error.message}") from error
    # Include the number, because two classes may have the same name.
    return {f"{item.label} ({item.class_id})": item.probability for item in classes}


def milliseconds(vision: VisionModel) -> float:
    """Returns the median time of one inference, without decoding; recorded for information only."""
    spec = picture_spec(vision)
    inputs = {spec.name: np.zeros([1, *(max(size, 1) for size in spec.shape[1:])], spec.dtype)}
    took = []
    for _ in range(_TIMED):
        begun = time.perf_counter()
        vision.infer(inputs, RequestContext(request_id="optimize"))
        took.append((time.perf_counter() - begun) * 1000)
    return round(float(np.median(took)), 2)
