"""Validates arrays against a model's signature and completes the signature. Pure."""

from dataclasses import replace

import numpy as np

from model_server.errors import InvalidModel, InvalidRequest, shown
from model_server.models.base import Array, ModelInfo, Tensors, TensorSpec
from model_server.models.datatypes import DATATYPES, datatype_of, has_datatype


def check_types(name: str, info: ModelInfo) -> None:
    """Checks that the protocols support the types of all inputs and outputs.

    Raises:
        InvalidModel: if a type is not supported; names the tensor, its type and the supported
            types.
    """
    for kind, specs in (("input", info.inputs), ("output", info.outputs)):
        for spec in specs:
            if not has_datatype(spec.dtype):
                raise InvalidModel(
                    f"model {name}: {kind} {spec.name!r} has type {spec.dtype}, which is "
                    f"not supported; cast it in the model to one of {', '.join(DATATYPES)}"
                )


def check_inputs(inputs: Tensors, specs: tuple[TensorSpec, ...]) -> dict[str, Array]:
    """Checks the names, types and shapes of inputs.

    Returns:
        The inputs in the model's order.

    Raises:
        InvalidRequest: if an input does not match; names the input, its actual and its expected
            type or shape.
    """
    unknown = sorted(set(inputs) - {spec.name for spec in specs})
    if unknown:
        known = ", ".join(spec.name for spec in specs)
        raise InvalidRequest(f"unknown input {shown(unknown[0])}; the inputs are {known}")
    checked: dict[str, Array] = {}
    for spec in specs:
        if spec.name not in inputs:
            raise InvalidRequest(f"input {spec.name!r} is missing")
        value = inputs[spec.name]
        if value.dtype != spec.dtype:
            raise InvalidRequest(
                f"input {spec.name!r} has type {datatype_of(value.dtype)}; the model expects "
                f"{datatype_of(spec.dtype)}"
            )
        if len(value.shape) != len(spec.shape) or any(
            want not in (-1, have) for want, have in zip(spec.shape, value.shape, strict=True)
        ):
            raise InvalidRequest(
                f"input {spec.name!r} has shape {list(value.shape)}; the model expects "
                f"{list(spec.shape)}"
            )
        checked[spec.name] = value
    return checked


def observed(specs: tuple[TensorSpec, ...], sample: Tensors) -> tuple[TensorSpec, ...]:
    """Fills in unknown shapes with those observed during the warm-up."""
    return tuple(
        spec if spec.shape else replace(spec, shape=sample[spec.name].shape) for spec in specs
    )


def zeros(spec: TensorSpec) -> Array:
    """Returns an array of zeros or empty strings for an input."""
    shape = [1 if size < 0 else size for size in spec.shape]
    return (
        np.full(shape, b"", dtype=object) if spec.dtype == object else np.zeros(shape, spec.dtype)
    )
