"""Open Inference Protocol (KServe V2): types and logic shared by JSON and gRPC.

A BYTES tensor for an image input holds encoded pictures, which the server decodes; other tensors go
to the model unchanged.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from model_server.errors import InvalidRequest, UnknownModel, shown
from model_server.models.base import Array, TensorSpec
from model_server.models.datatypes import datatype_of
from model_server.models.labels import detector_name
from model_server.protocols.tensors import objects
from model_server.request.context import RequestContext
from model_server.serving.registry import Registry
from model_server.vision.detection import DetectionOutputs
from model_server.vision.inference import VisionModel
from model_server.vision.preparation import preparation_facts
from model_server.vision.preprocessing import picture_input

VERSION = "1"
EXTENSIONS = ("binary_tensor_data", "classification")
# Additional output of detectors: class names.
LABELS_OUTPUT = "labels"
_PLATFORMS = {
    "tflite": "tensorflow_lite",
    "savedmodel": "tensorflow_savedmodel",
    "keras": "keras",
}


@dataclass(frozen=True)
class RequestedOutput:
    """A requested output.

    Attributes:
        name: The output's name.
        binary: Whether to return binary data.
        top_k: Triton's classification extension: return the best K classes as
            `score:index:label`. 0: return the scores.
    """

    name: str
    binary: bool = False
    top_k: int = 0


@dataclass(frozen=True)
class InferenceRequest:
    """An inference request.

    Attributes:
        inputs: Arrays by name; BYTES tensors are arrays of `bytes` objects.
        outputs: Requested outputs; empty means all.
        id: Returned in the response; may be empty.
        binary: Whether to return unnamed outputs as binary data.
    """

    inputs: Mapping[str, Array]
    outputs: Sequence[RequestedOutput] = ()
    id: str = ""
    binary: bool = False


@dataclass(frozen=True)
class OutputTensor:
    """An output of a response."""

    name: str
    array: Array
    binary: bool = False

    @property
    def datatype(self) -> str:
        """The protocol's name of the element type."""
        return datatype_of(self.array.dtype)


@dataclass(frozen=True)
class InferenceResponse:
    """An inference response."""

    model: str
    outputs: Sequence[OutputTensor] = field(default_factory=tuple)
    id: str = ""


def find_model(registry: Registry, name: str, version: str = "") -> VisionModel:
    """Finds a model by name and version; each has a single version.

    Raises:
        UnknownModel: if there is no such model or version.
        ModelNotServed: if the model failed to load.
    """
    model = registry.get(name)
    if version not in {"", VERSION}:
        raise UnknownModel(
            f"model {shown(name)} has no version {shown(version)}; it has version {VERSION}"
        )
    return model


def check_top_k(value: object, name: str) -> int:
    """Validates the `classification` parameter of an output.

    Raises:
        InvalidRequest: with the output and the valid range.
    """
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= 1000:
        raise InvalidRequest(
            f"output {shown(name)}: parameters.classification must be a whole number from 0 to 1000"
        )
    return value


def metadata(model: VisionModel) -> dict[str, Any]:
    """Model metadata as JSON values."""
    outputs = [_tensor_metadata(spec) for spec in model.outputs]
    if model.detection_outputs and model.detection_outputs.classes:
        outputs.append({"name": LABELS_OUTPUT, "datatype": "BYTES", "shape": [-1, -1]})
    return {
        "name": model.name,
        "versions": [VERSION],
        "platform": _PLATFORMS[model.info.format],
        "inputs": [_tensor_metadata(spec) for spec in model.info.inputs],
        "outputs": outputs,
        "parameters": facts(model),
    }


def repository_index(registry: Registry) -> list[dict[str, str]]:
    """All models with their state, as JSON values."""
    ready = dict.fromkeys(registry.names, ("READY", ""))
    failed = {name: ("UNAVAILABLE", problem) for name, problem in registry.not_served.items()}
    return [
        {"name": name, "version": VERSION, "state": state, "reason": reason}
        for name, (state, reason) in {**ready, **failed}.items()
    ]


def facts(model: VisionModel) -> dict[str, Any]:
    """Metadata without a field in the protocol. `digest`: `sha256:` and 64 hex digits."""
    return {
        "format": model.info.format,
        "task": model.task,
        "digest": f"sha256:{model.digest}" if model.digest else "",
        "preprocessing": preparation_facts(model.image) if model.takes_pictures else None,
        "warnings": list(model.warnings),
    }


def _tensor_metadata(spec: TensorSpec) -> dict[str, Any]:
    return {"name": spec.name, "datatype": datatype_of(spec.dtype), "shape": list(spec.shape)}


def infer(
    model: VisionModel, request: InferenceRequest, most: int, context: RequestContext
) -> InferenceResponse:
    """Runs the model.

    Args:
        model: The model.
        request: Inputs and requested outputs.
        most: Maximum number of pictures.
        context: Context of the request.

    Raises:
        InvalidRequest: if an input or output does not fit the model.
    """
    pictures = _pictures(model, request.inputs, most)
    if pictures is None:
        outputs = model.infer(request.inputs, context)
    else:
        outputs = _concatenate([model.infer_picture(data, context) for data in pictures])
    with_labels = {**outputs, **_labels(model, outputs)}
    wanted = request.outputs or _default_outputs(with_labels, request, pictures is not None)
    return InferenceResponse(
        model=model.name,
        outputs=tuple(_output(model, with_labels, item) for item in wanted),
        id=request.id,
    )


def _pictures(model: VisionModel, inputs: Mapping[str, Array], most: int) -> list[bytes] | None:
    """Encoded pictures of a request, or None if its tensors go to the model unchanged."""
    spec = picture_input(model.info)
    if spec is None or spec.dtype == object or len(inputs) != 1:
        return None
    (array,) = inputs.values()
    if array.dtype != object:
        return None
    if not 1 <= array.size <= most:
        raise InvalidRequest(f"the request has {array.size} pictures; 1 to {most} are allowed")
    return [bytes(element) for element in array.ravel()]


def _concatenate(results: Sequence[Mapping[str, Array]]) -> dict[str, Array]:
    if len(results) == 1:
        return dict(results[0])
    return {name: np.concatenate([item[name] for item in results]) for name in results[0]}


def _labels(model: VisionModel, outputs: Mapping[str, Array]) -> dict[str, Array]:
    roles: DetectionOutputs | None = model.detection_outputs
    if roles is None or not roles.classes:
        return {}
    classes = outputs[roles.classes]
    names = [
        detector_name(model.labels, int(number), model.first_class).encode()
        if np.isfinite(number)
        else b""
        for number in classes.ravel()
    ]
    return {LABELS_OUTPUT: objects(names).reshape(classes.shape)}


def _default_outputs(
    outputs: Mapping[str, Array], request: InferenceRequest, pictures: bool
) -> list[RequestedOutput]:
    """All outputs; class names only if pictures were sent."""
    return [
        RequestedOutput(name, request.binary)
        for name in outputs
        if pictures or name != LABELS_OUTPUT
    ]


def _output(
    model: VisionModel, outputs: Mapping[str, Array], wanted: RequestedOutput
) -> OutputTensor:
    if wanted.name not in outputs:
        raise InvalidRequest(
            f"unknown output {shown(wanted.name)}; the outputs are {', '.join(outputs)}"
        )
    array = outputs[wanted.name]
    if wanted.top_k:
        array = _best(model, wanted, array)
    return OutputTensor(wanted.name, array, wanted.binary)


def _best(model: VisionModel, wanted: RequestedOutput, array: Array) -> Array:
    """The classification extension: [N, K] of `score:index:label`."""
    if not model.class_names:
        raise InvalidRequest(
            f"output {shown(wanted.name)}: parameters.classification needs a classifier"
        )
    best = [
        f"{item.probability:f}:{item.class_id}:{item.label}".encode()
        for row in array
        for item in model.best_classes(row[np.newaxis], wanted.top_k)
    ]
    # Not -1: with no rows, the number of columns cannot be inferred.
    return objects(best).reshape(len(array), min(wanted.top_k, len(model.class_names)))
