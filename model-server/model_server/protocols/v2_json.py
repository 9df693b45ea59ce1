"""Open Inference Protocol: JSON and binary tensor data to and from `protocols.v2` types. Pure.

Sources: the protocol's `inference_rest.md` and Triton's `extension_binary_data.md`.
"""

import math
from collections.abc import Mapping
from typing import Any

import orjson

from model_server.errors import InvalidRequest, shown
from model_server.models.base import Array
from model_server.protocols import tensors
from model_server.protocols.json_input import decode_base64, parse_json
from model_server.protocols.media import looks_like_picture
from model_server.protocols.v2 import (
    InferenceRequest,
    InferenceResponse,
    RequestedOutput,
    check_top_k,
)
from model_server.vision.inference import VisionModel
from model_server.vision.preprocessing import picture_input

_REQUEST_FIELDS = {"id", "parameters", "inputs", "outputs"}
# Sent by KServe's SDK; the URL takes precedence.
_REPEATED_FIELDS = {"model_name", "model_version"}
_MAX_OUTPUTS = 64


def parse_request(
    body: bytes, json_length: int | None, model: VisionModel, most: int
) -> InferenceRequest:
    """Parses an inference request.

    Args:
        body: JSON, optionally followed by binary tensor data.
        json_length: Length of the JSON part (`Inference-Header-Content-Length`); None if the body
            is JSON only; 0 if it is a single tensor.
        model: The model, which determines how BYTES tensors are read.
        most: Maximum number of elements of a BYTES tensor.

    Raises:
        InvalidRequest: with the field and what it must be.
    """
    if json_length == 0:
        return InferenceRequest(inputs=_raw_input(body, model))
    length = len(body) if json_length is None else json_length
    if length > len(body):
        raise InvalidRequest(
            f"Inference-Header-Content-Length is {length}, but the body has {len(body)} bytes"
        )
    document = parse_json(body[:length])
    if not isinstance(document, dict):
        raise InvalidRequest('the body must be a JSON object with "inputs"')
    for key in document:
        if key not in _REQUEST_FIELDS | _REPEATED_FIELDS:
            raise InvalidRequest(
                f"unknown field {shown(key)}; the fields are id, parameters, inputs, outputs"
            )
    return InferenceRequest(
        inputs=_inputs(document.get("inputs"), body[length:], model, most),
        outputs=_outputs(document.get("outputs")),
        id=_string(document.get("id", ""), "id"),
        binary=_parameters(document, "the request").get("binary_data_output") is True,
    )


def _raw_input(body: bytes, model: VisionModel) -> dict[str, Array]:
    """The body as the only input: a tensor if the size matches, else a picture."""
    if len(model.info.inputs) != 1:
        raise InvalidRequest("a body without JSON is only possible for a model with one input")
    spec = model.info.inputs[0]
    shape = tuple(1 if size < 0 else size for size in spec.shape)
    if spec.dtype != object and len(body) == math.prod(shape) * spec.dtype.itemsize:
        return {spec.name: tensors.from_binary(body, spec.dtype, shape, spec.name)}
    return {spec.name: tensors.objects([body])}


def _inputs(items: object, binary: bytes, model: VisionModel, most: int) -> dict[str, Array]:
    if not isinstance(items, list) or not items:
        raise InvalidRequest("inputs: must be a non-empty list of tensors")
    arrays: dict[str, Array] = {}
    position = 0
    for item in items:
        if not isinstance(item, Mapping):
            raise InvalidRequest("inputs: every tensor must be a JSON object")
        name = _string(item.get("name"), "inputs: name")
        if name in arrays:
            raise InvalidRequest(f"inputs: {shown(name)} is given twice")
        size = _parameters(item, f"tensor {shown(name)}").get("binary_data_size")
        if size is None:
            arrays[name] = _from_json(item, name, model)
            continue
        if not isinstance(size, int) or isinstance(size, bool) or size < 0:
            raise InvalidRequest(
                f"tensor {shown(name)}: parameters.binary_data_size must be an integer >= 0"
            )
        part = binary[position : position + size]
        if len(part) != size:
            raise InvalidRequest(
                f"tensor {shown(name)}: binary_data_size is {size}, but {len(part)} bytes follow"
            )
        position += size
        arrays[name] = _from_binary(item, name, part, most)
    if position != len(binary):
        raise InvalidRequest(
            f"{len(binary) - position} bytes follow the last tensor; check binary_data_size"
        )
    return arrays


def _from_json(item: Mapping[str, Any], name: str, model: VisionModel) -> Array:
    dtype = tensors.check_datatype(item.get("datatype"), name)
    shape = tensors.check_shape(item.get("shape"), name)
    if "data" not in item:
        raise InvalidRequest(f"tensor {shown(name)}: data is missing")
    if dtype.hasobject:
        array = tensors.objects(_elements(item, name, model))
    else:
        array = tensors.from_lists(item["data"], dtype, name)
    return tensors.shaped(array, shape, name)


def _elements(item: Mapping[str, Any], name: str, model: VisionModel) -> list[bytes]:
    """Elements of a BYTES tensor in JSON.

    Base64 is decoded for an image input and for `content_type: base64`. For a string input without
    `content_type`, it is decoded if it contains a picture; any other `content_type` means text.
    """
    content_type = _parameters(item, f"tensor {shown(name)}").get("content_type")
    spec = picture_input(model.info)
    is_picture = spec is not None and spec.dtype != object
    if is_picture or content_type == "base64":
        return tensors.strings_from_lists(item["data"], name, base64=True)
    texts = tensors.strings_from_lists(item["data"], name, base64=False)
    return texts if content_type is not None else [_picture_or_text(text, name) for text in texts]


def _picture_or_text(text: bytes, name: str) -> bytes:
    try:
        head = decode_base64(text[:64].decode("ascii"), name)
        return decode_base64(text.decode("ascii"), name) if looks_like_picture(head) else text
    except (InvalidRequest, UnicodeDecodeError):
        return text


def _from_binary(item: Mapping[str, Any], name: str, data: bytes, most: int) -> Array:
    dtype = tensors.check_datatype(item.get("datatype"), name)
    shape = tensors.check_shape(item.get("shape"), name)
    if "data" in item:
        raise InvalidRequest(
            f"tensor {shown(name)}: give either data or binary_data_size, not both"
        )
    if not dtype.hasobject:
        return tensors.from_binary(data, dtype, shape, name)
    return tensors.shaped(
        tensors.objects(tensors.strings_from_binary(data, name, most)), shape, name
    )


def _outputs(items: object) -> tuple[RequestedOutput, ...]:
    if items is None:
        return ()
    if not isinstance(items, list) or len(items) > _MAX_OUTPUTS:
        raise InvalidRequest(f"outputs: must be a list of at most {_MAX_OUTPUTS} outputs")
    found: list[RequestedOutput] = []
    for item in items:
        if not isinstance(item, Mapping):
            raise InvalidRequest("outputs: every output must be a JSON object")
        name = _string(item.get("name"), "outputs: name")
        parameters = _parameters(item, f"output {shown(name)}")
        top_k = check_top_k(parameters.get("classification", 0), name)
        found.append(RequestedOutput(name, parameters.get("binary_data") is True, top_k))
    return tuple(found)


def _parameters(item: Mapping[str, Any], what: str) -> Mapping[str, Any]:
    parameters = item.get("parameters", {})
    if not isinstance(parameters, Mapping):
        raise InvalidRequest(f"{what}: parameters must be a JSON object")
    return parameters


def _string(value: object, field: str) -> str:
    if not isinstance(value, str):
        raise InvalidRequest(f"{field}: must be a string")
    return value


def encode_response(response: InferenceResponse, version: str) -> tuple[bytes, int | None]:
    """Encodes an inference response.

    Returns:
        The body, and the length of its JSON part if binary data follows, else None.
    """
    outputs: list[dict[str, Any]] = []
    parts: list[bytes] = []
    for output in response.outputs:
        item: dict[str, Any] = {
            "name": output.name,
            "datatype": output.datatype,
            "shape": list(output.array.shape),
        }
        if output.binary:
            parts.append(tensors.to_binary(output.array))
            item["parameters"] = {"binary_data_size": len(parts[-1])}
        else:
            item["data"] = tensors.to_json_data(output.array)
        outputs.append(item)
    document: dict[str, Any] = {"model_name": response.model, "model_version": version}
    if response.id:
        document["id"] = response.id
    document["outputs"] = outputs
    head = orjson.dumps(document)
    return (head + b"".join(parts), len(head)) if parts else (head, None)
