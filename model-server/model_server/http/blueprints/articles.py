"""The endpoints of the two source articles, compatible with the articles' clients.

`POST /object_detection` returns detections, picture size and the annotated picture; the Accept
header selects JSON with boxes or the annotated picture itself. `POST /predict` returns the top
classes.
"""

from flask import Blueprint, Response

from model_server.http import options
from model_server.http.body import picture
from model_server.http.current import request_context, state
from model_server.http.lifecycle import streamed
from model_server.http.shedding import gated
from model_server.protocols import encoding

blueprint = Blueprint("articles", __name__)


@blueprint.post("/object_detection")
@gated
def object_detection() -> Response:
    """Detections as `[{"person": "66%"}]`, `size=WIDTHxHEIGHT`, and BGR nested lists."""
    current, context = state(), request_context()
    options.refuse_unknown(("score_threshold", "max_boxes", "picture"))
    kind = options.accepted((options.JSON, options.DETECTIONS, *options.PICTURES))
    selection, drawn = options.selection(current.settings), options.wanted_picture()
    data = picture()
    with current.gate.admit(context):
        model = current.registry.for_task("detection")
        full_size = kind != options.DETECTIONS or drawn is not None
        result = model.detect(data, selection, context, full_size=full_size)
        if kind == options.JSON:
            length, blocks = encoding.article_detections(result, context)
            return streamed(blocks, length, kind, context)
        if kind == options.DETECTIONS:
            body = encoding.detections(result, model.name, drawn, context)
        else:
            body = encoding.annotated_picture(result, options.PICTURES[kind], context)
    return Response(body, content_type=kind)


@blueprint.post("/predict")
@gated
def predict() -> Response:
    """The top classes as `{"predictions": [{"label", "probability"}], "success": true}`."""
    current, context = state(), request_context()
    options.refuse_unknown(("top_k",))
    kind = options.accepted((options.JSON,))
    count = options.top_k(current.settings)
    data = picture()
    with current.gate.admit(context):
        found = current.registry.for_task("classification").classify(data, count, context)
    return Response(encoding.article_predictions(found), content_type=kind)
