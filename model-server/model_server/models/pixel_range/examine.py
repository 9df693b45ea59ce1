"""Gathers the evidence about a model's picture input, for each format, and decides from it."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from model_server.models.base import ImageInput, PixelScaling, ResizeMethod, TensorSpec
from model_server.models.pixel_range.affine import Traced
from model_server.models.pixel_range.decision import Evidence, decide
from model_server.models.pixel_range.families import find_family
from model_server.models.pixel_range.tflite_graph import read_graph
from model_server.models.tflite_metadata import TfliteMetadata


@dataclass(frozen=True)
class Findings:
    """What was found in a TensorFlow function or a tflite file.

    Attributes:
        image: How to prepare a picture for it.
        activations: The final operator of each output; see `ModelInfo`.
        warnings: See `ModelInfo`.
        roles: See `ModelInfo`.
        box_format: See `ModelInfo`.
    """

    image: ImageInput
    activations: dict[str, str] = field(default_factory=dict)
    roles: dict[str, str] = field(default_factory=dict)
    box_format: Literal["", "yxyx", "xyxy"] = ""
    warnings: tuple[str, ...] = ()


def examine_function(
    concrete: Any, spec: TensorSpec | None, resize: ResizeMethod, layers: Iterable[str] = ()
) -> Findings:
    """Examines a TensorFlow function.

    Args:
        concrete: TensorFlow's ConcreteFunction.
        spec: Its only input; None if it has several.
        resize: The resize method of the format's own tools.
        layers: Additional layer names from outside the graph.
    """
    from model_server.models.pixel_range.tensorflow_graph import (  # noqa: PLC0415 - TensorFlow
        FunctionGraph,
    )

    evidence = Evidence(resize=resize, assumed="unit", takes=_takes(spec))
    found = Findings(decide(evidence))
    try:
        graph = FunctionGraph(concrete)
        names = [*graph.names(), *layers]
        found = Findings(
            image=found.image,
            activations=graph.activations(),
            roles=graph.roles(),
            # YOLOv5's exporter names layers after the classes in its models/tf.py.
            box_format="xyxy" if any(_YOLOV5.search(name) for name in names) else "",
            warnings=(_RANDOM,) if graph.draws_random_numbers() else (),
        )
        picture = _picture(spec)
        if spec is not None and picture is not None and not evidence.takes:
            placeholder = _placeholder(concrete, spec.name)
            evidence = replace(evidence, arrivals=graph.follow(placeholder, picture))
            evidence = _with_family(evidence, names)
    except Exception as error:  # noqa: BLE001 - a graph that cannot be read tells nothing
        note = f"its graph could not be followed ({type(error).__name__})"
        evidence = replace(evidence, notes=(note,))
    return replace(found, image=decide(evidence))


_YOLOV5 = re.compile("tf_detect|tf__agnostic_nms|AgnosticNMS", re.IGNORECASE)
_RANDOM = (
    "the model draws random numbers, so the same picture may get another answer each time: layers "
    "such as RandomFlip were exported as in training; export it without them"
)


def examine_tflite(
    path: Path, inputs: tuple[TensorSpec, ...], outputs: tuple[str, ...], metadata: TfliteMetadata
) -> Findings:
    """Examines a tflite file.

    Args:
        path: The file.
        inputs: The model's inputs.
        outputs: Names of its outputs, in order.
        metadata: The file's metadata.
    """
    spec = inputs[0] if len(inputs) == 1 else None
    graph = read_graph(path, _picture(spec))
    evidence = Evidence(
        arrivals=graph.arrivals,
        quantized=graph.quantized,
        layer=graph.layer,
        metadata=_from_metadata(metadata, spec),
        # Float models from TensorFlow Lite's own tutorials take -1 to 1.
        assumed="signed",
        takes="" if spec is not None and spec.quantized else _takes(spec),
    )
    if spec is not None and spec.quantized:
        evidence = _of_quantized(evidence, spec)
    roles = {name: role for name, role in zip(outputs, graph.roles, strict=False) if role}
    return Findings(
        image=decide(_with_family(evidence, graph.names)),
        activations={name: last for name, last in zip(outputs, graph.last, strict=False) if last},
        roles=roles,
        box_format="yxyx" if roles else "",
    )


def _with_family(evidence: Evidence, names: Iterable[str]) -> Evidence:
    family = find_family(names)
    if family is None:
        return evidence
    return replace(evidence, family=family.name, family_scaling=family.scaling)


def _picture(spec: TensorSpec | None) -> Traced | None:
    axis = None if spec is None else spec.channel_axis
    if spec is None or axis is None:
        return None
    channels = spec.shape[axis]
    return Traced.picture(channels if channels > 0 else 3, axis)


def _takes(spec: TensorSpec | None) -> str:
    """Returns why the input needs no pixel range; empty if it needs one."""
    if spec is None or spec.dtype.kind == "f":
        return ""
    return "its input takes encoded pictures" if spec.dtype == object else "its input takes bytes"


def _placeholder(concrete: Any, name: str) -> str:
    """Returns the placeholder of a function's only argument; the others are captured values."""
    named = [tensor.op.name for tensor in concrete.inputs if tensor.op.name == name]
    return str(named[0] if named else concrete.inputs[0].op.name)


def _from_metadata(metadata: TfliteMetadata, spec: TensorSpec | None) -> ImageInput | None:
    if not metadata.mean:
        return None
    known = (0.0,), (1.0,)
    if spec is not None and spec.quantized and (metadata.mean[:1], metadata.std[:1]) == known:
        # For a quantized input, mean 0 and std 1 mean that bytes go in unchanged.
        return ImageInput(scaling="none")
    return ImageInput(mean=metadata.mean, std=metadata.std)


def _of_quantized(evidence: Evidence, spec: TensorSpec) -> Evidence:
    low, high = spec.real_range or (0.0, 0.0)
    if spec.dtype.itemsize == 1:
        return replace(evidence, quantized=(low, high))
    # 16-bit quantization is symmetric, so 0 to 1 also shows up as -1 to 1.
    assumed: PixelScaling = "unit" if high < 1.5 else "torch" if high < 20 else "none"
    if high > 200:
        return replace(evidence, quantized=(0.0, high))
    return replace(evidence, quantized=None, assumed=assumed)
