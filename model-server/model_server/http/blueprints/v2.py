"""The Open Inference Protocol (KServe V2) over HTTP, with the binary tensor extension."""

from flask import Blueprint, Response, jsonify, request

from model_server import __version__
from model_server.errors import InvalidRequest, shown
from model_server.http import options
from model_server.http.body import read_json
from model_server.http.current import request_context, state
from model_server.http.shedding import gated
from model_server.protocols import v2, v2_json

blueprint = Blueprint("v2", __name__, url_prefix="/v2")
_JSON_LENGTH = "Inference-Header-Content-Length"


@blueprint.get("")
def server() -> Response:
    """Name, version and extensions of the server."""
    return jsonify(name="model-server", version=__version__, extensions=list(v2.EXTENSIONS))


@blueprint.get("/health/live")
def live() -> Response:
    """200 while the process responds."""
    return jsonify(live=True)


@blueprint.get("/health/ready")
def ready() -> Response:
    """200: a worker accepts connections only once all its models are ready."""
    return jsonify(ready=True)


@blueprint.get("/models")
def models() -> Response:
    """Names of all models."""
    return jsonify(models=list(state().registry.names))


@blueprint.post("/repository/index")
def repository_index() -> Response:
    """All models with their state (Triton's model repository extension)."""
    return jsonify(v2.repository_index(state().registry))


@blueprint.get("/models/<model:name>")
@blueprint.get("/models/<model:name>/versions/<version>")
def metadata(name: str, version: str = "") -> Response:
    """Platform, inputs and outputs of a model."""
    return jsonify(v2.metadata(v2.find_model(state().registry, name, version)))


@blueprint.get("/models/<model:name>/ready")
@blueprint.get("/models/<model:name>/versions/<version>/ready")
def model_ready(name: str, version: str = "") -> Response:
    """Readiness of a model; a served model is always ready."""
    model = v2.find_model(state().registry, name, version)
    return jsonify(name=model.name, ready=True)


@blueprint.post("/models/<model:name>/infer")
@blueprint.post("/models/<model:name>/versions/<version>/infer")
@gated
def infer(name: str, version: str = "") -> Response:
    """Inference on tensors or encoded pictures, as JSON or binary data."""
    current, context = state(), request_context()
    model = v2.find_model(current.registry, name, version)
    options.refuse_unknown(())
    most = current.settings.max_instances
    length = _json_length()
    wanted = v2_json.parse_request(read_json(length), length, model, most)
    with current.gate.admit(context):
        answer = v2.infer(model, wanted, most, context)
        with context.stage("encode"):
            body, json_length = v2_json.encode_response(answer, v2.VERSION)
    if json_length is None:
        return Response(body, content_type=options.JSON)
    response = Response(body, content_type="application/octet-stream")
    response.headers[_JSON_LENGTH] = str(json_length)
    return response


def _json_length() -> int | None:
    text = request.headers.get(_JSON_LENGTH)
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= 12):
        raise InvalidRequest(
            f"{_JSON_LENGTH} = {shown(text)} must be a non-negative number of bytes"
        )
    return int(text)
