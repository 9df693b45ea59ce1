"""From results to the bytes of an answer, for the articles' endpoints.

Knows the data plane's results and the wire's JSON, not HTTP.
"""

from collections.abc import Sequence

import orjson

from model_server.classification import Classification
from model_server.context import RequestContext
from model_server.drawing import percent
from model_server.images import nested_lists_json, to_bgr
from model_server.inference import DetectionResult


def article_detections(result: DetectionResult, context: RequestContext) -> bytes:
    """The object-detection article's answer; see `schemas.DetectionAnswer`.

    The picture is 30 MB of text for two megapixels, so the JSON is joined from parts instead of
    being built as objects.
    """
    annotated = result.annotated(context)
    with context.stage("encode"):
        head = {
            "detections": [{item.label: percent(item.score)} for item in result.detections],
            "image size": f"size={annotated.width}x{annotated.height}",
        }
        return b"".join(
            (
                orjson.dumps(head)[:-1],
                b',"image data":',
                nested_lists_json(to_bgr(annotated)),
                b"}",
            )
        )


def article_predictions(found: Sequence[Classification]) -> bytes:
    """The ResNet50 article's answer; see `schemas.PredictionAnswer`."""
    predictions = [{"label": item.label, "probability": item.probability} for item in found]
    return orjson.dumps({"predictions": predictions, "success": True})
