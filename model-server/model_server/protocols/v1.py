"""KServe V1: TensorFlow Serving's row format, from parsed JSON to predictions.

For a picture (`{"b64": "..."}`), a detector returns named detections and a classifier named
classes. Other models return their raw outputs, as does every model for tensors.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from model_server.errors import InvalidRequest, shown
from model_server.models.base import Array, TensorSpec
from model_server.models.datatypes import datatype_of
from model_server.protocols import tensors
from model_server.protocols.encoding import classes_document, detections_document
from model_server.protocols.json_input import decode_base64
from model_server.request.context import RequestContext
from model_server.vision.detection import Selection
from model_server.vision.inference import VisionModel

Instance = bytes | dict[str, Array]


@dataclass(frozen=True)
class AnswerOptions:
    """Options for pictures."""

    selection: Selection
    top_k: int


def parse_instances(document: object, model: VisionModel, most: int) -> list[Instance]:
    """Parses instances: encoded pictures, or tensors without a batch dimension.

    Args:
        document: Parsed `{"instances": [...]}`.
        model: The model, for names and types of its inputs.
        most: Maximum number of instances.

    Raises:
        InvalidRequest: with the field and what it must be.
    """
    if not isinstance(document, Mapping):
        raise InvalidRequest('the body must be a JSON object with "instances"')
    for key in document:
        if key not in {"instances", "signature_name"}:
            raise InvalidRequest(
                f"unknown field {shown(key)}; the fields are instances, signature_name"
            )
    if document.get("signature_name", "serving_default") != "serving_default":
        raise InvalidRequest("signature_name: must be serving_default, the only signature served")
    instances = document.get("instances")
    if not isinstance(instances, list) or not instances:
        raise InvalidRequest("instances: must be a non-empty list")
    if len(instances) > most:
        raise InvalidRequest(
            f"instances: {len(instances)} given, at most {most} allowed (--max-instances)"
        )
    return [_instance(item, index, model) for index, item in enumerate(instances)]


def _instance(item: object, index: int, model: VisionModel) -> Instance:
    field = f"instances[{index}]"
    encoded = _encoded(item)
    if encoded is not None:
        return decode_base64(encoded, field)
    if isinstance(item, Mapping):
        if len(item) == 1 and (encoded := _encoded(next(iter(item.values())))) is not None:
            return decode_base64(encoded, field)
        return {name: _tensor(value, name, model, field) for name, value in item.items()}
    if len(model.info.inputs) != 1:
        raise InvalidRequest(
            f"{field}: the model has several inputs; send an object keyed by input name"
        )
    name = model.info.inputs[0].name
    return {name: _tensor(item, name, model, field)}


def _encoded(item: object) -> str | None:
    if isinstance(item, Mapping) and len(item) == 1 and isinstance(item.get("b64"), str):
        text: str = item["b64"]
        return text
    return None


def _tensor(value: object, name: str, model: VisionModel, field: str) -> Array:
    spec = next((spec for spec in model.info.inputs if spec.name == name), None)
    if spec is None:
        known = ", ".join(spec.name for spec in model.info.inputs)
        raise InvalidRequest(f"unknown input {shown(name)}; the inputs are {known}")
    encoded = _encoded(value)
    if encoded is not None:
        return _bytes(encoded, spec, field)
    if spec.dtype == object:
        found = tensors.strings_from_lists([value], name, base64=False)
        return np.array(found, dtype=object).reshape(() if isinstance(value, str) else (-1,))
    return tensors.from_lists(value, spec.dtype, name)


def _bytes(encoded: str, spec: TensorSpec, field: str) -> Array:
    """Decodes `{"b64": ...}` for a string input."""
    if spec.dtype != object:
        raise InvalidRequest(
            f"{field}: input {spec.name!r} takes {datatype_of(spec.dtype)} numbers, not b64"
        )
    return tensors.objects([decode_base64(encoded, field)]).reshape(())


def predict(
    model: VisionModel,
    instances: list[Instance],
    answer_options: AnswerOptions,
    context: RequestContext,
) -> list[Any]:
    """One prediction per instance, in order, as JSON values.

    Raises:
        RequestError: if any instance fails.
    """
    if all(isinstance(instance, dict) for instance in instances):
        batches = [instance for instance in instances if isinstance(instance, dict)]
        return _predict_tensors(model, batches, context)
    predictions: list[Any] = []
    for instance in instances:
        if isinstance(instance, dict):
            predictions.extend(_predict_tensors(model, [instance], context))
        else:
            predictions.append(_predict_picture(model, instance, answer_options, context))
    return predictions


def _predict_picture(
    model: VisionModel, data: bytes, answer_options: AnswerOptions, context: RequestContext
) -> Any:
    if model.task == "detection":
        return detections_document(model.detect(data, answer_options.selection, context))
    if model.task == "classification":
        return classes_document(model.classify(data, answer_options.top_k, context))
    (row,) = _rows(_raw_outputs(model, data, context), 1)
    return row


def _raw_outputs(model: VisionModel, data: bytes, context: RequestContext) -> Mapping[str, Array]:
    """Outputs for a picture; a string input gets the encoded bytes unchanged."""
    if len(model.info.inputs) == 1 and model.info.inputs[0].dtype == object:
        name = model.info.inputs[0].name
        return model.infer({name: tensors.objects([data])}, context)
    return model.infer_picture(data, context)


def _predict_tensors(
    model: VisionModel, instances: list[dict[str, Array]], context: RequestContext
) -> list[Any]:
    """In one batch if the model takes any batch size and all shapes agree, else one by one."""
    any_batch = all(spec.shape[:1] == (-1,) for spec in model.info.inputs)
    if any_batch and len({_signature(instance) for instance in instances}) == 1:
        batch = {name: np.stack([item[name] for item in instances]) for name in instances[0]}
        return _rows(model.infer(batch, context), len(instances))
    predictions: list[Any] = []
    for instance in instances:
        batch = {name: value[np.newaxis] for name, value in instance.items()}
        predictions.extend(_rows(model.infer(batch, context), 1))
    return predictions


def _signature(instance: Mapping[str, Array]) -> tuple[tuple[str, tuple[int, ...]], ...]:
    return tuple(sorted((name, value.shape) for name, value in instance.items()))


def _rows(outputs: Mapping[str, Array], count: int) -> list[Any]:
    """Outputs per instance: a bare value for a single output, else an object by name."""
    rows: list[Any] = []
    for index in range(count):
        row = {name: _json_value(value, index, count) for name, value in outputs.items()}
        rows.append(next(iter(row.values())) if len(row) == 1 else row)
    return rows


def _json_value(value: Array, index: int, count: int) -> Any:
    if value.dtype == object:
        texts = np.array(tensors.to_json_data(value), dtype=object)
        value = texts.reshape(value.shape)
    if value.ndim == 0 or len(value) != count:
        return value.tolist()  # an output without a batch dimension
    row = value[index]
    return row.tolist() if isinstance(row, np.ndarray | np.generic) else row
