"""Converts a .tflite file's operators to steps for following a picture through them.

Reads the FlatBuffer directly, by field number, because LiteRT does not expose operator options.
Layout: `schema.fbs` of TensorFlow Lite. A damaged or unknown file gives no steps and so no
evidence.
"""

import mmap
import struct
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from model_server.models.base import Array
from model_server.models.flatbuffer import Table
from model_server.models.pixel_range.affine import Traced
from model_server.models.pixel_range.first_layer import FirstLayer
from model_server.models.pixel_range.graph import trace
from model_server.models.pixel_range.steps import Step, Value

_MODEL_CODES, _MODEL_SUBGRAPHS, _MODEL_BUFFERS = 1, 2, 4
_CODE_OLD, _CODE_CUSTOM, _CODE_BUILTIN = 0, 1, 3
_TENSORS, _INPUTS, _OUTPUTS, _OPERATORS = 0, 1, 2, 3
_TENSOR_SHAPE, _TENSOR_TYPE, _TENSOR_BUFFER, _TENSOR_NAME, _TENSOR_QUANTIZATION = range(5)
_QUANTIZATION_SCALE, _QUANTIZATION_ZERO, _QUANTIZATION_AXIS = 2, 3, 6
_OPERATOR_CODE, _OPERATOR_INPUTS, _OPERATOR_OUTPUTS, _OPERATOR_OPTIONS = 0, 1, 2, 4
_DTYPES = {
    0: np.float32, 1: np.float16, 2: np.int32, 3: np.uint8, 4: np.int64, 6: np.bool_, 7: np.int16,
    9: np.int8, 10: np.float64,
}  # fmt: skip
# Keys are BuiltinOperator numbers.
_KINDS = {
    **dict.fromkeys((6, 53, 114, 23, 97, 34, 60, 100, 1, 17), "same"),
    0: "add", 41: "subtract", 18: "multiply", 42: "divide", 55: "clip", 57: "clip",
    64: "select", 123: "select", 40: "reduce",
    75: "statistic", 76: "statistic", 92: "square", 99: "squared_difference",
    39: "transpose", 105: "reverse", 36: "gather", 45: "strided_slice", 65: "slice", 49: "split",
    88: "unpack", 2: "concat", 83: "pack", 22: "reshape", 70: "expand", 43: "squeeze", 77: "shape",
}  # fmt: skip
_DEQUANTIZE, _DEPTHWISE = 6, 4
_LAYERS = {3, _DEPTHWISE, 9}  # CONV_2D, DEPTHWISE_CONV_2D, FULLY_CONNECTED
_ACTIVATIONS = {25: "softmax", 14: "sigmoid", 50: "log_softmax"}
# The detection operator; the order of its outputs is documented.
_POSTPROCESS = b"TFLite_Detection_PostProcess"
_ROLES = ("boxes", "classes", "scores", "count")
_PASSED_BACKWARDS = {6, 114, 22, 43, 53}  # DEQUANTIZE, QUANTIZE, RESHAPE, SQUEEZE, CAST
_MOST_BYTES = 16_000_000
# Maximum number of consecutive reshaping operators at the end of a graph.
_DEEPEST = 64


@dataclass(frozen=True)
class TfliteGraph:
    """The evidence in a .tflite file.

    Attributes:
        arrivals: The picture as it arrives at each place where a trace ends.
        quantized: Lowest and highest real value of the first quantization of a float picture.
        names: Names of all tensors.
        last: Final operator of each output, in order: softmax, sigmoid, log_softmax or empty.
        roles: Role of each detector output, in order; empty unless the detection operator makes it.
        layer: The first layer with weights; the converter may fold scaling into it.
    """

    arrivals: tuple[Traced, ...] = ()
    quantized: tuple[float, float] | None = None
    names: tuple[str, ...] = ()
    last: tuple[str, ...] = ()
    roles: tuple[str, ...] = ()
    layer: FirstLayer | None = None


@dataclass(frozen=True)
class _Operator:
    code: int
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    options: Table | None
    custom: bytes = b""


def read_graph(path: Path, picture: Traced | None) -> TfliteGraph:
    """Reads a .tflite file; the result is empty if the file cannot be read.

    Args:
        path: The file.
        picture: The picture as it enters the model's only input; None if that is not a picture.
    """
    try:
        with (
            path.open("rb") as file,
            mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content,
        ):
            return _read(Table.root(content), picture)  # type: ignore[arg-type]  # reads like bytes
    except (OSError, ValueError, IndexError, struct.error):
        return TfliteGraph()


def _read(model: Table, picture: Traced | None) -> TfliteGraph:
    subgraph = next(model.tables(_MODEL_SUBGRAPHS), None)
    if subgraph is None:
        return TfliteGraph()
    tensors = list(subgraph.tables(_TENSORS))
    operators = list(_operators(model, subgraph))
    names = tuple(tensor.raw(_TENSOR_NAME).decode("utf-8", "replace") for tensor in tensors)
    ends = subgraph.integers(_OUTPUTS)
    makers = {index: operator for operator in operators for index in operator.outputs}
    last = tuple(_activation(makers, index) for index in ends)
    roles = tuple(_role(makers, index) for index in ends)
    inputs = subgraph.integers(_INPUTS)
    if picture is None or len(inputs) != 1:
        return TfliteGraph(names=names, last=last, roles=roles)
    buffers = list(model.tables(_MODEL_BUFFERS))
    # Half-precision weights are constants that a DEQUANTIZE operator expands.
    sources = {operator.outputs[:1]: operator.inputs[:1] for operator in operators
               if operator.code == _DEQUANTIZE}  # fmt: skip

    def constant(index: int) -> Array | None:
        (index,) = sources.get((index,), (index,))
        return _constant(tensors[index], buffers) if 0 <= index < len(tensors) else None

    steps = [_step(operator) for operator in operators]
    result = trace(steps, {inputs[0]: picture}, constant)
    return TfliteGraph(
        arrivals=tuple(result.arrivals),
        quantized=_first_quantization(operators, tensors, inputs[0]),
        names=names,
        last=last,
        roles=roles,
        layer=_first_layer(operators, result.values, constant),
    )


def _first_layer(
    operators: list[_Operator], values: Mapping[int, Value], constant: Callable[[int], Array | None]
) -> FirstLayer | None:
    """Returns the first layer with weights that reads the picture; None if they are unknown."""
    for operator in operators:
        if operator.code in _LAYERS and isinstance(values.get(operator.inputs[0]), Traced):
            kernel = constant(operator.inputs[1])
            bias = constant(operator.inputs[2]) if len(operator.inputs) > 2 else None
            if kernel is None:
                return None
            if operator.code == _DEPTHWISE:  # filters are the last dimension
                kernel = kernel.reshape(-1, kernel.shape[-1]).T
            return FirstLayer.of(kernel.reshape(len(kernel), -1), bias)
    return None


def _operators(model: Table, subgraph: Table) -> Iterator[_Operator]:
    codes = [(_builtin(code), code.raw(_CODE_CUSTOM)) for code in model.tables(_MODEL_CODES)]
    for operator in subgraph.tables(_OPERATORS):
        number, custom = codes[operator.number(_OPERATOR_CODE, "<I")]
        yield _Operator(
            number,
            operator.integers(_OPERATOR_INPUTS),
            operator.integers(_OPERATOR_OUTPUTS),
            operator.table(_OPERATOR_OPTIONS),
            custom,
        )


def _builtin(code: Table) -> int:
    """Returns the operator's number; files from before 2020 store it in a one-byte field."""
    return max(code.number(_CODE_OLD, "<b"), code.number(_CODE_BUILTIN, "<i"))


def _constant(tensor: Table, buffers: list[Table]) -> Array | None:
    """Returns the real values of a tensor stored in the file; None if computed at run time."""
    number, kind = tensor.number(_TENSOR_BUFFER, "<I"), tensor.number(_TENSOR_TYPE, "<b")
    if not 0 < number < len(buffers) or kind not in _DTYPES:
        return None
    data = buffers[number].raw(0)
    if not data or len(data) > _MOST_BYTES:
        return None
    shape = tensor.integers(_TENSOR_SHAPE)
    values = np.frombuffer(data, np.dtype(_DTYPES[kind])).reshape(shape)
    if values.dtype.kind == "f":
        return values
    quantization = tensor.table(_TENSOR_QUANTIZATION)
    scales = quantization.floats(_QUANTIZATION_SCALE) if quantization else ()
    if quantization is not None and len(scales) > 1:  # weights, with one scale per filter
        axis = quantization.number(_QUANTIZATION_AXIS, "<i")
        if not 0 <= axis < values.ndim or values.shape[axis] != len(scales):
            return None
        return np.asarray(values * np.array(scales).reshape(-1, *(1,) * (values.ndim - 1 - axis)))
    scale, zero = _quantization(tensor)
    return values if scale is None else np.asarray((values.astype(np.float64) - zero) * scale)


def _quantization(tensor: Table) -> tuple[float | None, int]:
    """Returns scale and zero point; the scale is None if there is none, or one per channel."""
    quantization = tensor.table(_TENSOR_QUANTIZATION)
    if quantization is None:
        return None, 0
    scales = quantization.floats(_QUANTIZATION_SCALE)
    if len(scales) != 1:
        return None, 0
    zeros = quantization.longs(_QUANTIZATION_ZERO)
    return scales[0], zeros[0] if zeros else 0


def _first_quantization(
    operators: list[_Operator], tensors: list[Table], picture: int
) -> tuple[float, float] | None:
    """Returns the calibrated range of a float input, from the QUANTIZE operator that follows it."""
    for operator in operators:
        if operator.code == 114 and operator.inputs == (picture,) and operator.outputs:
            tensor = tensors[operator.outputs[0]]
            scale, zero = _quantization(tensor)
            kind = tensor.number(_TENSOR_TYPE, "<b")
            if scale and kind in {3, 9}:
                limits = np.iinfo(np.uint8 if kind == 3 else np.int8)
                return (limits.min - zero) * scale, (limits.max - zero) * scale
    return None


def _maker(makers: Mapping[int, _Operator], output: int) -> tuple[_Operator | None, int]:
    """Returns the operator that produces an output, and the tensor's index; skips reshaping."""
    for _ in range(_DEEPEST):
        operator = makers.get(output)
        if operator is None or operator.code not in _PASSED_BACKWARDS or not operator.inputs:
            return operator, output
        output = operator.inputs[0]
    return None, output


def _activation(makers: Mapping[int, _Operator], output: int) -> str:
    operator, _ = _maker(makers, output)
    return _ACTIVATIONS.get(operator.code, "") if operator else ""


def _role(makers: Mapping[int, _Operator], output: int) -> str:
    operator, tensor = _maker(makers, output)
    if operator is None or operator.custom != _POSTPROCESS:
        return ""
    place = operator.outputs.index(tensor)
    return _ROLES[place] if place < len(_ROLES) else ""


def _step(operator: _Operator) -> Step[int]:
    kind = _KINDS.get(operator.code, "")
    table, options = operator.options, dict[str, Any]()
    match kind:
        case "reduce":
            options["keep"] = bool(table and table.number(0, "<B"))
        case "pack":
            options["axis"] = table.number(1, "<i") if table else 0
        case "unpack":
            options["axis"] = table.number(1, "<i") if table else 0
        case "concat":
            options["axis"] = table.number(0, "<i") if table else 0
        case "gather":
            options["axis"] = table.number(0, "<i") if table else 0
        case "squeeze":
            options["axes"] = list(table.integers(0)) if table else []
        case "strided_slice":
            for number, name in enumerate(("begin", "end", "ellipsis", "new", "shrink")):
                options[name] = table.number(number, "<i") if table else 0
        case "add" | "subtract" | "multiply" | "divide":
            # A fused RELU or similar: its output no longer represents pixels.
            kind = "" if table and table.number(0, "<b") not in {0, 2, 3} else kind
    return Step(kind, operator.inputs, operator.outputs, options)
