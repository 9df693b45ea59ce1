"""The Open Inference Protocol (KServe V2) over the data plane: its types and what they do.

REST and gRPC both turn their messages into `InferenceRequest` and back from `InferenceResponse`;
everything between is here. A BYTES tensor for a picture input holds encoded pictures, which the
server decodes; any other tensor goes to the model as it is.
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
# Output that a detector has beside its own: the names of its classes.
LABELS_OUTPUT = "labels"
_PLATFORMS = {
    "tflite": "tensorflow_lite",
    "savedmodel": "tensorflow_savedmodel",
    "keras": "keras",
}


@dataclass(frozen=True)
class RequestedOutput:
    """An output that the client names.

    Attributes:
        name: The output's name.
        binary: Whether it wants the binary form.
        top_k: Triton's classification extension: instead of scores, the best K as
            `score:index:label`. 0: the scores themselves.
    """

    name: str
    binary: bool = False
    top_k: int = 0


@dataclass(frozen=True)
class InferenceRequest:
    """One infer call.

    Attributes:
        inputs: Arrays by name; BYTES tensors are arrays of `bytes` objects.
        outputs: The outputs wanted; empty means all.
        id: Given back in the response; may be empty.
        binary: Whether outputs that are not named come in binary form.
    """

    inputs: Mapping[str, Array]
    outputs: Sequence[RequestedOutput] = ()
    id: str = ""
    binary: bool = False


@dataclass(frozen=True)
class OutputTensor:
    """One output of a response."""

    name: str
    array: Array
    binary: bool = False

    @property
    def datatype(self) -> str:
        """The protocol's name of its type."""
        return datatype_of(self.array.dtype)


@dataclass(frozen=True)
class InferenceResponse:
    """The answer to one infer call."""

    model: str
    outputs: Sequence[OutputTensor] = field(default_factory=tuple)
    id: str = ""


def find_model(registry: Registry, name: str, version: str = "") -> VisionModel:
    """The model that a URL or message names; there is one version of each.

    Raises:
        UnknownModel: if there is no such model, or another version is asked for.
    """
    model = registry.get(name)
    if version not in {"", VERSION}:
        raise UnknownModel(
            f"model {shown(name)} has no version {shown(version)}; it has version {VERSION}"
        )
    return model


def check_top_k(value: object, name: str) -> int:
    """The parameter `classification` of an output, of Triton's extension.

    Raises:
        InvalidRequest: naming the output and the range.
    """
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= 1000:
        raise InvalidRequest(
            f"output {shown(name)}: parameters.classification must be a whole number from 0 to 1000"
        )
    return value


def metadata(model: VisionModel) -> dict[str, Any]:
    """Name, versions, platform, signature and facts of a model, as JSON values."""
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
    """Every model with its state, as Triton's clients ask for it, as JSON values."""
    ready = dict.fromkeys(registry.names, ("READY", ""))
    failed = {name: ("UNAVAILABLE", problem) for name, problem in registry.not_served.items()}
    return [
        {"name": name, "version": VERSION, "state": state, "reason": reason}
        for name, (state, reason) in {**ready, **failed}.items()
    ]


def facts(model: VisionModel) -> dict[str, Any]:
    """What the protocols have no field for: `digest` is `sha256:` and 64 hex digits."""
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
        model: To be run.
        request: Inputs and what is wanted of the outputs.
        most: Pictures in one request at most.
        context: Of the request.

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
    """The encoded pictures of a request, or None if its tensors go to the model as they are."""
    spec = picture_input(model.info)
    if spec is None or spec.dtype == object or len(inputs) != 1:
        return None
    (array,) = inputs.values()
    if array.dtype != object:
        return None
    if not 1 <= array.size <= most:
        raise InvalidRequest(f"{array.size} pictures came; from 1 to {most} are accepted")
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
    """All of the model's own; the labels too for whoever sent a picture and not a tensor."""
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
            f"output {shown(wanted.name)} is unknown; the model has {', '.join(outputs)}"
        )
    array = outputs[wanted.name]
    if wanted.top_k:
        array = _best(model, wanted, array)
    return OutputTensor(wanted.name, array, wanted.binary)


def _best(model: VisionModel, wanted: RequestedOutput, array: Array) -> Array:
    """The classification extension: [N, K] of `score:index:label`."""
    if not model.class_names:
        raise InvalidRequest(
            f"output {shown(wanted.name)}: only a classifier has classes to choose from"
        )
    best = [
        f"{item.probability:f}:{item.class_id}:{item.label}".encode()
        for row in array
        for item in model.best_classes(row[np.newaxis], wanted.top_k)
    ]
    # Not -1: of no row at all it does not follow how many columns there are.
    return objects(best).reshape(len(array), min(wanted.top_k, len(model.class_names)))
