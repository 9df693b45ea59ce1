"""Encodes results: the articles' JSON, JSON with boxes, and the annotated picture."""

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
    """Body of the object-detection article; see `schemas.ArticleDetections`.

    Returns:
        Length of the body, and the body in blocks: it is 34 MB for two megapixels.
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
    """Body of the ResNet50 article; see `schemas.ArticlePredictions`."""
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
    """Body with boxes; see `schemas.Detections`.

    Args:
        result: Result of a detector; with the full-size picture if `picture` is set.
        model: Name of the model.
        picture: Format of the annotated picture to include, or None.
        context: Context of the request.
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
    """Detections with boxes in pixels, after EXIF rotation; see `schemas.PictureDetections`."""
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
