"""Converts a TensorFlow function's graph to steps for following a picture through it.

Reads GraphDefs, which every SavedModel and compiled Keras model has, and follows calls into
functions. Source of the operators: TensorFlow's `tensorflow/core/ops`.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from model_server.models.base import Array
from model_server.models.pixel_range.affine import Traced
from model_server.models.pixel_range.graph import Trace, trace
from model_server.models.pixel_range.steps import Lost, Step, Value

Ref = tuple[str, int]
# Larger constants are weights, not numbers to scale pixels with.
_MOST_ELEMENTS = 4_000_000
_DEEPEST = 64
_MOST_CALLS = 500

_KINDS = {
    **dict.fromkeys(("Shape", "ShapeN", "Size", "Rank", "Assert", "NoOp"), "shape"),
    **dict.fromkeys(
        (
            "Identity", "Cast", "StopGradient", "EnsureShape", "CheckNumerics", "PreventGradient",
            "ResizeBilinear", "ResizeNearestNeighbor", "ResizeBicubic", "ResizeArea",
            "ScaleAndTranslate", "CropAndResize", "Pad", "PadV2", "MirrorPad", "AvgPool", "MaxPool",
            "FakeQuantWithMinMaxVars", "FakeQuantWithMinMaxArgs", "Snapshot", "Round", "Rint",
        ),
        "same",
    ),
    **dict.fromkeys(("AddV2", "Add", "BiasAdd"), "add"),
    "Sub": "subtract",
    "Mul": "multiply",
    **dict.fromkeys(("RealDiv", "Div", "DivNoNan"), "divide"),
    **dict.fromkeys(("Maximum", "Minimum", "ClipByValue"), "clip"),
    "Mean": "reduce",
    **dict.fromkeys(("Sqrt", "Rsqrt", "Reciprocal", "Inv"), "statistic"),
    **dict.fromkeys(("SelectV2", "Select"), "select"),
    "Square": "square",
    "SquaredDifference": "squared_difference",
    "Transpose": "transpose",
    "ReverseV2": "reverse",
    "GatherV2": "gather",
    "StridedSlice": "strided_slice",
    "Slice": "slice",
    **dict.fromkeys(("Split", "SplitV"), "split"),
    "Unpack": "unpack",
    **dict.fromkeys(("ConcatV2", "Concat"), "concat"),
    "Pack": "pack",
    "Reshape": "reshape",
    "ExpandDims": "expand",
    "Squeeze": "squeeze",
    **dict.fromkeys(("FusedBatchNorm", "FusedBatchNormV2", "FusedBatchNormV3"), "batch_norm"),
    **dict.fromkeys(("PartitionedCall", "StatefulPartitionedCall"), "call"),
}  # fmt: skip
_BINARY: dict[str, Callable[[Array, Array], Array]] = {
    "AddV2": np.add, "Add": np.add, "BiasAdd": np.add, "Sub": np.subtract, "Mul": np.multiply,
    "RealDiv": np.divide, "Div": np.divide, "Maximum": np.maximum, "Minimum": np.minimum,
}  # fmt: skip
_UNARY: dict[str, Callable[[Array], Array]] = {
    "Sqrt": np.sqrt, "Rsqrt": lambda x: 1.0 / np.sqrt(x), "Neg": np.negative,
    "Reciprocal": lambda x: 1.0 / x, "Inv": lambda x: 1.0 / x, "Square": np.square,
    "Identity": lambda x: x, "StopGradient": lambda x: x, "Snapshot": lambda x: x,
    "ReadVariableOp": lambda x: x,
}  # fmt: skip


@dataclass
class _Scope:
    """One graph: the signature's own, or the body of a function that it calls.

    Attributes:
        nodes: Nodes by name.
        bound: Values from outside: arguments and captured values.
        library: Functions by name.
        calls: Budget of calls left to follow. Without it, functions that each call the next one
            twice would take exponential time.
    """

    nodes: Mapping[str, Any]
    bound: dict[Ref, Any]
    library: Mapping[str, Any]
    folded: dict[Ref, Array | None] = field(default_factory=dict)
    calls: Iterator[int] = field(default_factory=lambda: iter(range(_MOST_CALLS)))


class FunctionGraph:
    """The graph of one compiled function, read once."""

    def __init__(self, concrete: Any) -> None:
        """Reads the graph.

        Args:
            concrete: TensorFlow's ConcreteFunction.
        """
        definition = concrete.graph.as_graph_def()
        self._library = {item.signature.name: item for item in definition.library.function}
        self._nodes = {node.name: node for node in definition.node}
        self._captured: dict[Ref, Any] = {
            (internal.op.name, 0): external for external, internal in concrete.graph.captures
        }
        # A loaded signature lists its tensors in the order of their sorted names.
        self._outputs = {
            name: (tensor.op.name, tensor.value_index)
            for name, tensor in zip(
                sorted(concrete.structured_outputs), concrete.outputs, strict=True
            )
        }

    def follow(self, picture: str, traced: Traced) -> tuple[Traced, ...]:
        """Follows the picture; returns it as it arrives at each place where a trace ends.

        Args:
            picture: Name of the picture's placeholder.
            traced: The picture as it enters the function.
        """
        scope = _Scope(self._nodes, dict(self._captured), self._library)
        return tuple(_trace(scope, {(picture, 0): traced}, 0).arrivals)

    def names(self) -> Iterator[str]:
        """Yields the names of all nodes, including those in library functions."""
        yield from self._nodes
        for function in self._library.values():
            yield from (node.name for node in function.node_def)

    def draws_random_numbers(self) -> bool:
        """Whether the function draws random numbers, so the same picture may get other answers."""
        operators = {node.op for node in self._nodes.values()}
        for function in self._library.values():
            operators |= {node.op for node in function.node_def}
        return any(_RANDOM.match(operator) for operator in operators)

    def activations(self) -> dict[str, str]:
        """Returns each output's final operator if it is softmax, log_softmax or sigmoid."""
        found = {name: _ACTIVATIONS.get(self._last(ref), "") for name, ref in self._outputs.items()}
        return {name: activation for name, activation in found.items() if activation}

    def roles(self) -> dict[str, str]:
        """Returns the roles of detector outputs that come from CombinedNonMaxSuppression."""
        found = {name: self._maker(ref) for name, ref in self._outputs.items()}
        return {
            name: _NMS_ROLES[index]
            for name, (operator, index) in found.items()
            if operator == "CombinedNonMaxSuppression" and index < len(_NMS_ROLES)
        }

    def _last(self, ref: Ref) -> str:
        return self._maker(ref)[0]

    def _maker(self, ref: Ref) -> tuple[str, int]:
        """Returns the operator that produces a tensor, and its output index; skips reshaping."""
        nodes = self._nodes
        for _ in range(_DEEPEST):
            node = nodes.get(ref[0])
            if node is None:
                return "", 0
            if _KINDS.get(node.op) == "call":
                function = self._library.get(node.attr["f"].func.name)
                if function is None or ref[1] >= len(function.signature.output_arg):
                    return "", 0
                nodes = {item.name: item for item in function.node_def}
                ref = _ref(function.ret[function.signature.output_arg[ref[1]].name])
            elif node.op in {"Identity", "IdentityN", "Cast", "Reshape", "Squeeze"} and node.input:
                ref = _ref(node.input[ref[1] if node.op == "IdentityN" else 0])
            else:
                return str(node.op), ref[1]
        return "", 0


_RANDOM = re.compile("(Stateless|Stateful)?(Random|Uniform|StandardNormal|TruncatedNormal)")
_ACTIVATIONS = {"Softmax": "softmax", "LogSoftmax": "log_softmax", "Sigmoid": "sigmoid"}


def _ref(text: str) -> Ref:
    """Parses `name`, `name:0`, or `name:output:0` inside a function."""
    name, *rest = text.removeprefix("^").split(":")
    if len(rest) == 2 and rest[0] in _NMS_OUTPUTS:
        return name, _NMS_OUTPUTS.index(rest[0])
    return name, int(rest[-1]) if rest else 0


# CombinedNonMaxSuppression's outputs, in order, and their roles.
_NMS_OUTPUTS = ("nmsed_boxes", "nmsed_scores", "nmsed_classes", "valid_detections")
_NMS_ROLES = ("boxes", "scores", "classes", "count")


def _trace(scope: _Scope, start: Mapping[Ref, Value], depth: int) -> Trace[Ref]:
    def special(step: Step[Ref], inputs: list[Value]) -> list[Value] | None:
        if step.kind != "call" or depth >= _DEEPEST or next(scope.calls, None) is None:
            return None
        function = scope.library.get(step.options["function"])
        if function is None:
            return None
        nodes = {node.name: node for node in function.node_def}
        inner = _Scope(nodes, {}, scope.library, calls=scope.calls)
        begin: dict[Ref, Value] = {}
        for argument, ref, value in zip(
            function.signature.input_arg, step.inputs, inputs, strict=False
        ):
            begin[(argument.name, 0)] = value
            inner.bound[(argument.name, 0)] = _external(scope, ref) if value is None else value
        known = {ref: value for ref, value in begin.items() if not _is_none(value)}
        result = _trace(inner, known, depth + 1)
        arrivals.extend(result.arrivals)
        outputs: list[Value] = []
        for argument in function.signature.output_arg:
            ref = _ref(function.ret[argument.name])
            value = result.values.get(ref)
            outputs.append(Lost() if value is None else value)
        return outputs

    arrivals: list[Traced] = []
    steps = [_step(node) for node in scope.nodes.values()]
    result = trace(steps, start, lambda ref: _constant(scope, ref), special)
    result.arrivals.extend(arrivals)
    return result


def _is_none(value: Value) -> bool:
    return value is None


def _external(scope: _Scope, ref: Ref) -> Any:
    """Finds a value that is passed on to a function without being read, such as a variable."""
    for _ in range(_DEEPEST):
        if ref in scope.bound:
            return scope.bound[ref]
        node = scope.nodes.get(ref[0])
        if node is None or node.op != "Identity":
            return None
        ref = _ref(node.input[0])
    return None


def _step(node: Any) -> Step[Ref]:
    kind = _KINDS.get(node.op, "")
    options: dict[str, Any] = {}
    outputs = 1
    attributes = node.attr
    match kind:
        case "call":
            options["function"] = attributes["f"].func.name
            outputs = max(1, len(attributes["Tout"].list.type))
        case "split":
            outputs = int(attributes["num_split"].i)
        case "unpack":
            outputs, options["axis"] = int(attributes["num"].i), int(attributes["axis"].i)
        case "pack":
            options["axis"] = int(attributes["axis"].i)
        case "reduce":
            options["keep"] = attributes["keep_dims"].b
        case "squeeze":
            options["axes"] = list(attributes["squeeze_dims"].list.i)
        case "batch_norm":
            options["epsilon"] = attributes["epsilon"].f
            kind = "" if attributes["is_training"].b else kind
        case "strided_slice":
            for short, name in _MASKS.items():
                options[short] = int(attributes[name].i)
    inputs = tuple(_ref(text) for text in node.input if not text.startswith("^"))
    return Step(kind, inputs, tuple((node.name, index) for index in range(outputs)), options)


_MASKS = {
    "begin": "begin_mask",
    "end": "end_mask",
    "ellipsis": "ellipsis_mask",
    "new": "new_axis_mask",
    "shrink": "shrink_axis_mask",
}


def _constant(scope: _Scope, ref: Ref, depth: int = 0) -> Array | None:
    """Evaluates a tensor that depends only on weights and constants; None if it is not known."""
    if ref in scope.folded:
        return scope.folded[ref]
    scope.folded[ref] = value = _fold(scope, ref, depth) if depth < _DEEPEST else None
    return value


def _fold(scope: _Scope, ref: Ref, depth: int) -> Array | None:
    if ref in scope.bound:
        return _as_array(scope.bound[ref])
    node = scope.nodes.get(ref[0])
    if node is None or node.op == "Const":
        return None if node is None else _const(node)
    if node.op not in _BINARY and node.op not in _UNARY and node.op not in _RESHAPING:
        return None
    wanted = 2 if node.op in _BINARY else 1
    inputs = [_ref(text) for text in node.input if not text.startswith("^")][:wanted]
    values = [_constant(scope, item, depth + 1) for item in inputs]
    left, right = values[0], values[-1]
    return None if left is None or right is None else _computed(node.op, left, right)


def _computed(operator: str, left: Array, right: Array) -> Array:
    with np.errstate(all="ignore"):
        if operator in _BINARY:
            return np.asarray(_BINARY[operator](left, right))
        if operator in _UNARY:
            return np.asarray(_UNARY[operator](left))
    # Only per-channel numbers matter here, and reshaping keeps their order.
    return left if operator == "Cast" else left.squeeze()


_RESHAPING = {"Cast", "Squeeze", "Reshape", "ExpandDims"}


def _const(node: Any) -> Array | None:
    from tensorflow.python.framework import tensor_util  # noqa: PLC0415 - TensorFlow

    tensor = node.attr["value"].tensor
    elements = int(np.prod([size.size for size in tensor.tensor_shape.dim]))
    if elements > _MOST_ELEMENTS:
        return None
    return np.asarray(tensor_util.MakeNdarray(tensor))


def _as_array(value: Any) -> Array | None:
    """Reads a captured tensor or a captured variable; None if it cannot."""
    if value is None or isinstance(value, np.ndarray):
        return value
    if isinstance(value, Traced | Lost) or not hasattr(value, "dtype"):
        return None
    if value.dtype.name != "resource":
        return np.asarray(value) if hasattr(value, "numpy") else None
    handle = getattr(value, "_handle_data", None)
    shapes = list(handle.shape_and_type) if handle is not None else []
    if len(shapes) != 1:
        return None
    import tensorflow as tf  # noqa: PLC0415 - TensorFlow

    elements = int(np.prod([size.size for size in shapes[0].shape.dim]))
    if elements > _MOST_ELEMENTS:
        return None
    dtype = tf.dtypes.as_dtype(shapes[0].dtype)
    return np.asarray(tf.raw_ops.ReadVariableOp(resource=value, dtype=dtype))
