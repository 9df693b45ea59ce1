"""Converts gRPC messages to and from the types of `protocols.v2`. Pure.

Inputs are raw little-endian bytes or typed lists; outputs use the same form, except for FP16, which
has no typed list.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from model_server.errors import InvalidRequest, shown
from model_server.grpc.open_inference_pb2 import (
    InferParameter,
    InferTensorContents,
    ModelInferRequest,
    ModelInferResponse,
    ModelMetadataResponse,
)
from model_server.models.base import Array
from model_server.protocols import tensors
from model_server.protocols.v2 import (
    InferenceRequest,
    InferenceResponse,
    RequestedOutput,
    check_top_k,
)

# Field of InferTensorContents for each data type.
_FIELDS = {
    "BOOL": "bool_contents",
    "INT8": "int_contents",
    "INT16": "int_contents",
    "INT32": "int_contents",
    "INT64": "int64_contents",
    "UINT8": "uint_contents",
    "UINT16": "uint_contents",
    "UINT32": "uint_contents",
    "UINT64": "uint64_contents",
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
    "BYTES": "bytes_contents",
}
_MAX_TENSORS = 64


def parse_request(message: ModelInferRequest, most: int) -> InferenceRequest:
    """Parses an inference request.

    Args:
        message: The request message.
        most: Maximum number of elements of a BYTES tensor.

    Raises:
        InvalidRequest: with the tensor and what is wrong with it.
    """
    raw = message.raw_input_contents
    if not 1 <= len(message.inputs) <= _MAX_TENSORS or len(message.outputs) > _MAX_TENSORS:
        raise InvalidRequest(f"inputs: there must be from 1 to {_MAX_TENSORS} tensors")
    if raw and len(raw) != len(message.inputs):
        raise InvalidRequest(
            f"raw_input_contents has {len(raw)} tensors, but inputs has {len(message.inputs)}"
        )
    arrays: dict[str, Array] = {}
    for number, item in enumerate(message.inputs):
        if item.name in arrays:
            raise InvalidRequest(f"inputs: {shown(item.name)} is given twice")
        arrays[item.name] = (
            _from_raw(item, raw[number], most) if raw else _from_contents(item, most)
        )
    return InferenceRequest(
        inputs=arrays,
        outputs=tuple(_requested(item) for item in message.outputs),
        id=message.id,
        binary=bool(raw),
    )


def encode_response(response: InferenceResponse, version: str, *, raw: bool) -> ModelInferResponse:
    """Encodes an inference response; `raw` selects bytes instead of typed lists."""
    message = ModelInferResponse(model_name=response.model, model_version=version, id=response.id)
    # The protocol does not allow mixing the two.
    raw = raw or any(output.datatype not in _FIELDS for output in response.outputs)
    for output in response.outputs:
        item = message.outputs.add(
            name=output.name, datatype=output.datatype, shape=output.array.shape
        )
        if raw:
            message.raw_output_contents.append(tensors.to_binary(output.array))
        else:
            _fill(item.contents, output.datatype, output.array)
    return message


def encode_metadata(metadata: Mapping[str, Any]) -> ModelMetadataResponse:
    """Encodes `v2.metadata`; the message has no field for `parameters`."""
    known = ModelMetadataResponse.DESCRIPTOR.fields_by_name
    return ModelMetadataResponse(**{key: metadata[key] for key in known})


def _from_raw(item: ModelInferRequest.InferInputTensor, data: bytes, most: int) -> Array:
    dtype = tensors.check_datatype(item.datatype, item.name)
    shape = tensors.check_shape(list(item.shape), item.name)
    if item.HasField("contents"):
        raise InvalidRequest(
            f"tensor {shown(item.name)}: give either contents or raw_input_contents, not both"
        )
    if not dtype.hasobject:
        return tensors.from_binary(data, dtype, shape, item.name)
    elements = tensors.strings_from_binary(data, item.name, most)
    return tensors.shaped(tensors.objects(elements), shape, item.name)


def _from_contents(item: ModelInferRequest.InferInputTensor, most: int) -> Array:
    dtype = tensors.check_datatype(item.datatype, item.name)
    shape = tensors.check_shape(list(item.shape), item.name)
    if item.datatype not in _FIELDS:
        raise InvalidRequest(f"tensor {shown(item.name)}: {item.datatype} needs raw_input_contents")
    field = _FIELDS[item.datatype]
    others = [described.name for described, _ in item.contents.ListFields()]
    if any(other != field for other in others):
        raise InvalidRequest(f"tensor {shown(item.name)}: {item.datatype} values belong in {field}")
    values = getattr(item.contents, field)
    if dtype.hasobject:
        if len(values) > most:
            raise InvalidRequest(f"tensor {shown(item.name)}: it has more than {most} elements")
        return tensors.shaped(tensors.objects(list(values)), shape, item.name)
    # Fields may have a larger type: INT8 is sent as 32-bit numbers.
    array = tensors.from_numbers(np.array(values), dtype, item.name)
    return tensors.shaped(array, shape, item.name)


def _requested(item: ModelInferRequest.InferRequestedOutputTensor) -> RequestedOutput:
    top_k = _parameter(item.parameters.get("classification"))
    return RequestedOutput(item.name, top_k=check_top_k(0 if top_k is None else top_k, item.name))


def _parameter(parameter: InferParameter | None) -> Any:
    """Value of a parameter, or None."""
    kind = parameter.WhichOneof("parameter_choice") if parameter else None
    return getattr(parameter, kind) if kind else None


def _fill(contents: InferTensorContents, datatype: str, array: Array) -> None:
    flat = array.ravel()
    values = [bytes(element) for element in flat] if datatype == "BYTES" else flat.tolist()
    getattr(contents, _FIELDS[datatype]).extend(values)
