"""The OpenAPI document, built from `protocols.schemas` and the tables below. Pure.

A test compares its URLs with those of the application.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from model_server import __version__
from model_server.protocols import schemas

_REF = "#/components/schemas/{model}"
_PICTURE_TYPES = ("image/jpeg", "image/png", "image/webp", "image/gif", "image/bmp")
_DETECTIONS = "application/vnd.inference-operator.detections+json"
_JSON = "application/json"
_BINARY = {"type": "string", "format": "binary"}
_JsonObject = dict[str, Any]

_MODELS: tuple[type[BaseModel], ...] = (
    schemas.ArticleDetections,
    schemas.ArticlePredictions,
    schemas.Detections,
    schemas.ErrorAnswer,
    schemas.Status,
    schemas.Ready,
    schemas.V1Models,
    schemas.V1Model,
    schemas.V1Request,
    schemas.V1Answer,
    schemas.V2Server,
    schemas.V2Live,
    schemas.V2Ready,
    schemas.V2IndexEntry,
    schemas.V2Model,
    schemas.V2Request,
    schemas.V2Answer,
    schemas.PictureInJson,
)

_PARAMETERS: Mapping[str, _JsonObject] = {
    "score_threshold": {
        "description": "Minimum score of the detections returned.",
        "schema": {"type": "number", "minimum": 0, "maximum": 1},
    },
    "max_boxes": {
        "description": "Maximum number of detections, best first.",
        "schema": {"type": "integer", "minimum": 1, "maximum": 1000},
    },
    "top_k": {
        "description": "Maximum number of classes, most probable first.",
        "schema": {"type": "integer", "minimum": 1, "maximum": 1000},
    },
    "picture": {
        "description": f"Include the annotated picture in {_DETECTIONS} responses.",
        "schema": {"type": "string", "enum": ["png", "jpeg"]},
    },
}


def document() -> _JsonObject:
    """The OpenAPI 3.1 document, as JSON values."""
    _, definitions = models_json_schema(
        [(model, "serialization") for model in _MODELS], ref_template=_REF
    )
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "model-server",
            "version": __version__,
            "summary": "Object detection and image classification",
            "description": "Send a picture, get the objects or classes in it. Errors are JSON "
            "with a message and a stable code.",
        },
        "paths": _paths(),
        "components": {"schemas": definitions["$defs"]},
    }


def _paths() -> _JsonObject:
    return {**_articles(), **_operations(), **_v1(), **_v2()}


def _articles() -> _JsonObject:
    pictures = {kind: {"schema": _BINARY} for kind in ("image/png", "image/jpeg")}
    detected = {
        _JSON: {"schema": _ref(schemas.ArticleDetections)},
        _DETECTIONS: {"schema": _ref(schemas.Detections)},
        **pictures,
    }
    classified = {_JSON: {"schema": _ref(schemas.ArticlePredictions)}}
    return {
        "/object_detection": _post(
            "Detect objects in a picture",
            "The Accept header selects the response: JSON with the annotated picture as nested "
            "lists (the default), JSON with boxes, or the annotated picture itself.",
            _picture_body(),
            detected,
            query=("score_threshold", "max_boxes", "picture"),
        ),
        "/predict": _post(
            "Classify a picture",
            "Returns the most probable classes, best first.",
            _picture_body(),
            classified,
            query=("top_k",),
        ),
    }


def _operations() -> _JsonObject:
    text = {
        "200": {
            "description": "Prometheus text format",
            "content": {"text/plain": {"schema": _string()}},
        }
    }
    return {
        "/healthz": _get("Check liveness", schemas.Status),
        "/readyz": _get("Check readiness", schemas.Ready),
        "/metrics": {"get": {"summary": "Get metrics", "tags": ["operations"], "responses": text}},
        "/openapi.json": {
            "get": {
                "summary": "Get this document",
                "tags": ["operations"],
                "responses": {
                    "200": {
                        "description": "OpenAPI 3.1",
                        "content": {_JSON: {"schema": {"type": "object"}}},
                    }
                },
            }
        },
    }


def _v1() -> _JsonObject:
    predict = _post(
        "Predict (KServe V1)",
        "TensorFlow Serving's row format: one prediction per instance. For a picture, a detector "
        "returns named detections and a classifier named classes; otherwise the prediction is the "
        "model's raw outputs.",
        {_JSON: {"schema": _ref(schemas.V1Request)}, **_raw_pictures(), **_form()},
        {
            _JSON: {"schema": _ref(schemas.V1Answer)},
            **{kind: {"schema": _BINARY} for kind in ("image/png", "image/jpeg")},
        },
        query=("score_threshold", "max_boxes", "top_k"),
        kserve=True,
    )
    return {
        "/v1/models": _get("List models (KServe V1)", schemas.V1Models, tag="v1"),
        "/v1/models/{name}": _with_path(
            _get("Get a model's status (KServe V1)", schemas.V1Model, tag="v1"), "name"
        ),
        "/v1/models/{name}:predict": _with_path(predict, "name"),
        "/v1/models/{name}/versions/{version}:predict": _with_path(predict, "name", "version"),
    }


def _v2() -> _JsonObject:
    infer = _post(
        "Infer (Open Inference Protocol)",
        "Tensors are JSON, or binary data after the JSON when Inference-Header-Content-Length is "
        "set. A BYTES tensor for an image input contains encoded pictures (base64 in JSON).",
        {
            _JSON: {"schema": _ref(schemas.V2Request)},
            "application/octet-stream": {"schema": _BINARY},
        },
        {
            _JSON: {"schema": _ref(schemas.V2Answer)},
            "application/octet-stream": {"schema": _BINARY},
        },
        kserve=True,
    )
    infer["post"]["parameters"] = [
        {
            "name": "Inference-Header-Content-Length",
            "in": "header",
            "description": "Length of the JSON part in bytes, before binary tensors. 0: no JSON.",
            "schema": {"type": "integer", "minimum": 0},
        }
    ]
    index = _post("List models (Triton)", "", None, _list_of(schemas.V2IndexEntry), kserve=True)
    paths = {
        "/v2": _get("Get server metadata", schemas.V2Server, tag="v2"),
        "/v2/health/live": _get("Check liveness", schemas.V2Live, tag="v2"),
        "/v2/health/ready": _get("Check readiness", schemas.V2Live, tag="v2"),
        "/v2/models": _get("List models", schemas.V1Models, tag="v2"),
        "/v2/repository/index": index,
    }
    for base, names in (
        ("/v2/models/{name}", ("name",)),
        ("/v2/models/{name}/versions/{version}", ("name", "version")),
    ):
        paths[base] = _with_path(_get("Get model metadata", schemas.V2Model, tag="v2"), *names)
        paths[f"{base}/ready"] = _with_path(
            _get("Check a model's readiness", schemas.V2Ready, tag="v2"), *names
        )
        paths[f"{base}/infer"] = _with_path(infer, *names)
    return paths


def _get(summary: str, model: type[BaseModel], tag: str = "operations") -> _JsonObject:
    answer = {"description": "OK", "content": {_JSON: {"schema": _ref(model)}}}
    return {"get": {"summary": summary, "tags": [tag], "responses": {"200": answer}}}


def _post(
    summary: str,
    description: str,
    body: _JsonObject | None,
    answers: _JsonObject,
    *,
    query: Sequence[str] = (),
    kserve: bool = False,
) -> _JsonObject:
    operation: _JsonObject = {
        "summary": summary,
        "description": description,
        "tags": ["kserve" if kserve else "pictures"],
        "parameters": [{"name": name, "in": "query", **_PARAMETERS[name]} for name in query],
        "responses": {
            "200": {"description": "OK", "content": answers},
            "default": {
                "description": "Error",
                "content": {_JSON: {"schema": _ref(schemas.ErrorAnswer)}},
            },
        },
    }
    if body is not None:
        operation["requestBody"] = {"required": True, "content": body}
    return {"post": operation}


def _with_path(item: _JsonObject, *names: str) -> _JsonObject:
    """Adds path parameters and the error for an unknown model."""
    parameters = [
        {"name": name, "in": "path", "required": True, "schema": _string()} for name in names
    ]
    missing = {
        "description": "Unknown model",
        "content": {_JSON: {"schema": _ref(schemas.ErrorAnswer)}},
    }
    result: _JsonObject = {"parameters": parameters}
    for method, operation in item.items():
        result[method] = {**operation, "responses": {**operation["responses"], "404": missing}}
    return result


def _picture_body() -> _JsonObject:
    return {
        **_raw_pictures(),
        **_form(),
        _JSON: {"schema": _ref(schemas.PictureInJson)},
    }


def _raw_pictures() -> _JsonObject:
    return {kind: {"schema": _BINARY} for kind in _PICTURE_TYPES}


def _form() -> _JsonObject:
    form = {"type": "object", "required": ["image"], "properties": {"image": _BINARY}}
    return {"multipart/form-data": {"schema": form}}


def _list_of(model: type[BaseModel]) -> _JsonObject:
    return {_JSON: {"schema": {"type": "array", "items": _ref(model)}}}


def _ref(model: type[BaseModel]) -> _JsonObject:
    return {"$ref": _REF.format(model=model.__name__)}


def _string() -> _JsonObject:
    return {"type": "string"}
