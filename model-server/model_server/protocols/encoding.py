"""From results to the bytes of an answer: the articles' JSON, our own, and the annotated picture.

Knows the data plane's results and the wire's JSON, not HTTP.
"""

import base64
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any

import orjson

from model_server.protocols.pixel_lists import bgr_lists, json_length
from model_server.request.context import RequestContext
from model_server.vision.classification import Classification
from model_server.vision.detection import Detection
from model_server.vision.drawing import percent
from model_server.vision.images import EncodedFormat, encode
from model_server.vision.inference import DetectionResult

MEDIA_TYPES: dict[EncodedFormat, str] = {"PNG": "image/png", "JPEG": "image/jpeg"}


def article_detections(
    result: DetectionResult, context: RequestContext
) -> tuple[int, Iterator[bytes]]:
    """The object-detection article's answer; see `schemas.ArticleDetections`.

    Returns:
        The body's length, and the body in blocks: it is 34 MB for two megapixels.
    """
    annotated = result.annotated(context)
    head = {
        "detections": [{item.label: percent(item.score)} for item in result.detections],
        "image size": f"size={annotated.width}x{annotated.height}",
    }
    start = orjson.dumps(head)[:-1] + b',"image data":'
    length = len(start) + json_length(*annotated.size) + 1
    return length, chain((start,), bgr_lists(annotated), (b"}",))


def article_predictions(found: Sequence[Classification]) -> bytes:
    """The ResNet50 article's answer; see `schemas.ArticlePredictions`."""
    predictions = [{"label": item.label, "probability": item.probability} for item in found]
    return orjson.dumps({"predictions": predictions, "success": True})


def annotated_picture(
    result: DetectionResult, encoded_format: EncodedFormat, context: RequestContext
) -> bytes:
    """The picture with boxes and names drawn over it, encoded."""
    annotated = result.annotated(context)
    with context.stage("encode"):
        return encode(annotated, encoded_format)


def detections(
    result: DetectionResult,
    model: str,
    picture: EncodedFormat | None,
    context: RequestContext,
) -> bytes:
    """Our own answer with boxes; see `schemas.Detections`.

    Args:
        result: Of a detector; at full size if `picture` is asked for.
        model: The model's name.
        picture: Format of the annotated picture to put in, or None.
        context: Of the request.
    """
    document = {**detections_document(result), "model": {"name": model}}
    if picture:
        content = annotated_picture(result, picture, context)
        document["picture"] = {
            "content_type": MEDIA_TYPES[picture],
            "base64": base64.b64encode(content).decode("ascii"),
        }
    return orjson.dumps(document)


def detections_document(result: DetectionResult) -> dict[str, Any]:
    """Detections with boxes in pixels of the upright picture; see `schemas.PictureDetections`."""
    width, height = result.picture.width, result.picture.height
    return {
        "detections": [_detection(item, width, height) for item in result.detections],
        "image": {"width": width, "height": height},
    }


def _detection(item: Detection, width: int, height: int) -> dict[str, Any]:
    ymin, xmin, ymax, xmax = item.box
    pixels = (xmin * width, ymin * height, xmax * width, ymax * height)
    return {
        "label": item.label,
        "class_id": item.class_id,
        "score": round(item.score, 6),
        "box": [round(value, 2) for value in pixels],
    }


def classes_document(found: Sequence[Classification]) -> dict[str, Any]:
    """The most probable classes; see `schemas.PictureClasses`."""
    return {
        "classes": [
            {"label": item.label, "class_id": item.class_id, "probability": item.probability}
            for item in found
        ]
    }
