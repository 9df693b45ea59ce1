"""A model's signature against real arrays: checks inputs, fills in shapes that no file tells.

Pure array work; knows no format, picture or protocol.
"""

from dataclasses import replace

import numpy as np

from model_server.errors import InvalidModel, InvalidRequest, shown
from model_server.models.base import Array, ModelInfo, Tensors, TensorSpec
from model_server.models.datatypes import DATATYPES, datatype_of, has_datatype


def check_types(name: str, info: ModelInfo) -> None:
    """Makes sure that every input and output has a type that requests and answers can carry.

    Raises:
        InvalidModel: naming the tensor, its type and the types that there are.
    """
    for kind, specs in (("input", info.inputs), ("output", info.outputs)):
        for spec in specs:
            if not has_datatype(spec.dtype):
                raise InvalidModel(
                    f"model {name}: {kind} {spec.name!r} has type {spec.dtype}, which no protocol "
                    f"can carry; cast it in the model to one of {', '.join(DATATYPES)}"
                )


def check_inputs(inputs: Tensors, specs: tuple[TensorSpec, ...]) -> dict[str, Array]:
    """The inputs in the model's order, each of its type and a shape that fits.

    Raises:
        InvalidRequest: naming the input, what it is and what it must be.
    """
    unknown = sorted(set(inputs) - {spec.name for spec in specs})
    if unknown:
        known = ", ".join(spec.name for spec in specs)
        raise InvalidRequest(f"input {shown(unknown[0])} is unknown; the model takes {known}")
    checked: dict[str, Array] = {}
    for spec in specs:
        if spec.name not in inputs:
            raise InvalidRequest(f"input {spec.name!r} is missing")
        value = inputs[spec.name]
        if value.dtype != spec.dtype:
            raise InvalidRequest(
                f"input {spec.name!r} has type {datatype_of(value.dtype)}, the model takes "
                f"{datatype_of(spec.dtype)}"
            )
        if len(value.shape) != len(spec.shape) or any(
            want not in (-1, have) for want, have in zip(spec.shape, value.shape, strict=True)
        ):
            raise InvalidRequest(
                f"input {spec.name!r} has shape {list(value.shape)}, the model takes "
                f"{list(spec.shape)}"
            )
        checked[spec.name] = value
    return checked


def observed(specs: tuple[TensorSpec, ...], sample: Tensors) -> tuple[TensorSpec, ...]:
    """Specs with the shapes that the warm-up gave, where the model itself does not tell them."""
    return tuple(
        spec if spec.shape else replace(spec, shape=sample[spec.name].shape) for spec in specs
    )


def zeros(spec: TensorSpec) -> Array:
    """An array that fits an input, for a model that no picture fits."""
    shape = [1 if size < 0 else size for size in spec.shape]
    return (
        np.full(shape, b"", dtype=object) if spec.dtype == object else np.zeros(shape, spec.dtype)
    )
