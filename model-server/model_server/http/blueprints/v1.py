"""KServe V1 over HTTP: `/v1/models`, `/v1/models/NAME`, `/v1/models/NAME:predict`.

The body may also be a picture; with `Accept: image/png` or `image/jpeg` the annotated picture is
returned.
"""

import orjson
from flask import Blueprint, Response, jsonify

from model_server.http import options
from model_server.http.body import picture_or_json
from model_server.http.current import request_context, state
from model_server.http.shedding import gated
from model_server.protocols import encoding, v1, v2
from model_server.protocols.json_input import parse_json
from model_server.vision.inference import VisionModel

blueprint = Blueprint("v1", __name__)


@blueprint.get("/v1/models")
def models() -> Response:
    """Names of all models."""
    return jsonify(models=list(state().registry.names))


@blueprint.get("/v1/models/<model:name>")
def model(name: str) -> Response:
    """Status and signature of a model; a served model is always ready."""
    served = v2.find_model(state().registry, name)
    described = v2.metadata(served)
    return jsonify(
        name=served.name,
        ready=True,
        inputs=described["inputs"],
        outputs=described["outputs"],
        **described["parameters"],
    )


@blueprint.post("/v1/models/<model:name>:predict")
@blueprint.post("/v1/models/<model:name>/versions/<version>:predict")
@gated
def predict(name: str, version: str = "") -> Response:
    """Predictions for JSON instances or for a picture."""
    current = state()
    served = v2.find_model(current.registry, name, version)
    options.refuse_unknown(("score_threshold", "max_boxes", "top_k"))
    answer_options = v1.AnswerOptions(
        options.selection(current.settings), options.top_k(current.settings)
    )
    received = picture_or_json()
    if received.is_json:
        return _instances(served, answer_options, received.data)
    return _picture(served, answer_options, received.data)


def _instances(served: VisionModel, answer_options: v1.AnswerOptions, body: bytes) -> Response:
    current, context = state(), request_context()
    options.accepted((options.JSON,))
    document = parse_json(body)
    instances = v1.parse_instances(document, served, current.settings.max_instances)
    with current.gate.admit(context):
        predictions = v1.predict(served, instances, answer_options, context)
    return Response(orjson.dumps({"predictions": predictions}), content_type=options.JSON)


def _picture(served: VisionModel, answer_options: v1.AnswerOptions, data: bytes) -> Response:
    current, context = state(), request_context()
    offered = (options.JSON, *options.PICTURES) if served.task == "detection" else (options.JSON,)
    kind = options.accepted(offered)
    with current.gate.admit(context):
        if kind in options.PICTURES:
            result = served.detect(data, answer_options.selection, context, full_size=True)
            body = encoding.annotated_picture(result, options.PICTURES[kind], context)
        else:
            predictions = v1.predict(served, [data], answer_options, context)
            body = orjson.dumps({"predictions": predictions})
    return Response(body, content_type=kind)
