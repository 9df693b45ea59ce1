"""The two source articles' endpoints, byte for byte as their own clients expect them.

`POST /object_detection`: an encoded picture in; detections, size and the annotated picture out.
`POST /predict`: an encoded picture in; the most probable classes out.
"""

from flask import Blueprint, Response

from model_server import encoding
from model_server.detection import Selection
from model_server.routes.intake import picture
from model_server.routes.state import request_context, state

blueprint = Blueprint("articles", __name__)


@blueprint.post("/object_detection")
def object_detection() -> Response:
    """Detections as `[{"person": "66%"}]`, `size=WIDTHxHEIGHT`, and BGR nested lists."""
    current, context = state(), request_context()
    data = picture()
    selection = Selection(current.settings.score_threshold, current.settings.max_boxes)
    with current.gate.admit(context):
        result = current.registry.for_task("detection").detect(data, selection, context)
        body = encoding.article_detections(result, context)
    return Response(body, content_type="application/json")


@blueprint.post("/predict")
def predict() -> Response:
    """The top classes as `{"predictions": [{"label", "probability"}], "success": true}`."""
    current, context = state(), request_context()
    data = picture()
    with current.gate.admit(context):
        model = current.registry.for_task("classification")
        found = model.classify(data, current.settings.top_k, context)
    return Response(encoding.article_predictions(found), content_type="application/json")
