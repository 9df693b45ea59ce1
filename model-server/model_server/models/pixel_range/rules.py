"""Rules for how each kind of step changes a picture in a trace. Pure arithmetic.

A rule takes a step and its input values and returns its output: one value or a list of values. None
ends the trace.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from model_server.models.pixel_range.affine import Traced, arithmetic, joined
from model_server.models.pixel_range.steps import Lost, Statistic, Step, Value


def apply(step: Step[Any], inputs: list[Value]) -> list[Value] | None:
    """Returns a step's output values; None if the trace ends at this step."""
    if step.kind == "shape":
        return [Lost()] * len(step.outputs)
    if step.kind == "same" and isinstance(inputs[0], Traced | Statistic):
        return [inputs[0]]
    if not inputs or any(isinstance(value, Lost) for value in inputs):
        return [Lost()] * len(step.outputs) if not _pictures(inputs) else None
    rule = _RULES.get(step.kind)
    made = rule(step, inputs) if rule else None
    if made is None:
        return None
    return made if isinstance(made, list) else [made]


def _pictures(inputs: Sequence[Value]) -> list[Traced]:
    return [value for value in inputs if isinstance(value, Traced)]


def _same(_step: Step[Any], inputs: list[Value]) -> Value:
    return inputs[0]


def _arithmetic(step: Step[Any], inputs: list[Value]) -> Value:
    left, right = inputs[0], inputs[1]
    if isinstance(left, Traced) and isinstance(right, np.ndarray):
        return arithmetic(step.kind, left, right, constant_first=False)
    if isinstance(right, Traced) and isinstance(left, np.ndarray):
        return arithmetic(step.kind, right, left, constant_first=True)
    if isinstance(left, Traced) and isinstance(right, Statistic):
        return _standardized(step.kind, left)
    return _statistic(step, inputs)


def _standardized(kind: str, picture: Traced) -> Value:
    """Standardizes a picture by itself: subtracts its mean, then divides by its deviation."""
    if kind == "subtract" and picture.standardized == 0:
        return replace(picture, standardized=1)
    if kind in {"multiply", "divide"} and picture.standardized == 1:
        return replace(picture, standardized=2)
    return None


def _reduce(step: Step[Any], inputs: list[Value]) -> Value:
    picture = inputs[0]
    axes = step.options.get("axes")
    if axes is None and len(inputs) > 1 and isinstance(inputs[1], np.ndarray):
        axes = [int(axis) for axis in inputs[1].reshape(-1)]
    if isinstance(picture, Statistic):
        return picture
    if not isinstance(picture, Traced) or axes is None:
        return None
    axes = sorted({axis % picture.rank for axis in axes}, reverse=True)
    if picture.axis in axes and len(picture.channels) > 1:
        return Statistic() if len(axes) > 1 else None
    made: Traced | None = picture
    for axis in axes if not step.options.get("keep") else ():
        made = made.without(axis) if made else None
    return made


def _statistic(_step: Step[Any], inputs: list[Value]) -> Value:
    """Roots, squares and the like: applied to a picture's statistic, they give a statistic."""
    kinds = {type(value) for value in inputs}
    return Statistic() if Statistic in kinds and kinds <= {Statistic, np.ndarray} else None


def _clip(step: Step[Any], inputs: list[Value]) -> Value:
    """Clipping at constants: assumed not to change any pixel."""
    if any(isinstance(value, Statistic) for value in inputs):
        return _statistic(step, inputs)
    pictures = _pictures(inputs)
    return pictures[0] if len(pictures) == 1 else None


def _select(_step: Step[Any], inputs: list[Value]) -> Value:
    """A choice between two pictures, such as flipped or not: handled only if both are equal."""
    pictures = _pictures(inputs)
    return pictures[0] if len(pictures) == 2 and pictures[0] == pictures[1] else None


def _squared_difference(_step: Step[Any], inputs: list[Value]) -> Value:
    left, right = inputs[0], inputs[1]
    both = isinstance(left, Traced) and isinstance(right, Statistic)
    return Statistic() if both else None


def _square(step: Step[Any], inputs: list[Value]) -> Value:
    picture = inputs[0]
    if isinstance(picture, Traced) and picture.standardized == 1:
        return Statistic()
    return _statistic(step, inputs)


def _transpose(_step: Step[Any], inputs: list[Value]) -> Value:
    picture, order = inputs[0], inputs[1]
    if not isinstance(picture, Traced) or not isinstance(order, np.ndarray):
        return None
    return picture.transposed([int(axis) for axis in order.reshape(-1)])


def _reverse(_step: Step[Any], inputs: list[Value]) -> Value:
    picture, axes = inputs[0], inputs[1]
    if not isinstance(picture, Traced) or not isinstance(axes, np.ndarray):
        return None
    made: Traced | None = picture
    for axis in axes.reshape(-1):
        if int(axis) % picture.rank == picture.axis:
            made = picture.take(picture.axis, range(len(picture.channels))[::-1])
    return made


def _gather(step: Step[Any], inputs: list[Value]) -> Value:
    picture, indices = inputs[0], inputs[1]
    axis = step.options.get("axis")
    if axis is None:
        axis = int(inputs[2].reshape(-1)[0]) if isinstance(inputs[2], np.ndarray) else None
    if not isinstance(picture, Traced) or not isinstance(indices, np.ndarray) or axis is None:
        return None
    axis %= picture.rank
    made = picture.take(axis, [int(index) for index in indices.reshape(-1)])
    return made.without(axis) if made and indices.ndim == 0 else made


def _strided_slice(step: Step[Any], inputs: list[Value]) -> Value:
    """A Python-style slice: part of the picture, one of its channels, or channels reversed."""
    picture, bounds = inputs[0], inputs[1:4]
    if not isinstance(picture, Traced) or not all(isinstance(b, np.ndarray) for b in bounds):
        return None
    begin, end, strides = ([int(v) for v in np.asarray(bound).reshape(-1)] for bound in bounds)
    masks = {name: int(step.options.get(name, 0)) for name in _MASKS}
    dimension, made, shrunk = 0, picture, []
    for place in range(len(begin)):
        bit = 1 << place
        if masks["ellipsis"] & bit:
            dimension += picture.rank - (len(begin) - 1 - _ones(masks["new"] & ~bit))
            continue
        if masks["new"] & bit:
            return None
        if masks["shrink"] & bit:
            shrunk.append(dimension)
        if dimension == picture.axis:
            count = len(picture.channels)
            if masks["shrink"] & bit:
                indices: Sequence[int] = [begin[place] % count]
            else:
                first = None if masks["begin"] & bit else begin[place]
                last = None if masks["end"] & bit else end[place]
                indices = range(count)[first : last : strides[place]]
            taken = made.take(dimension, list(indices))
            if taken is None:
                return None
            made = taken
        dimension += 1
    result: Traced | None = made
    for axis in sorted(shrunk, reverse=True):
        result = result.without(axis) if result else None
    return result


_MASKS = ("begin", "end", "ellipsis", "new", "shrink")


def _ones(mask: int) -> int:
    return mask.bit_count()


def _slice(_step: Step[Any], inputs: list[Value]) -> Value:
    picture, begin, size = inputs[0], inputs[1], inputs[2]
    if not isinstance(picture, Traced):
        return None
    if not isinstance(begin, np.ndarray) or not isinstance(size, np.ndarray):
        return None
    if picture.axis is None:
        return picture
    first, count = int(begin.reshape(-1)[picture.axis]), int(size.reshape(-1)[picture.axis])
    last = len(picture.channels) if count < 0 else first + count
    return picture.take(picture.axis, range(first, last))


def _split(step: Step[Any], inputs: list[Value]) -> list[Value] | None:
    """Splits into equal parts along a dimension; `unpack` also removes the dimension."""
    (picture,) = _pictures(inputs) or (None,)
    axis = step.options.get("axis")
    if axis is None:
        constants = [value for value in inputs if isinstance(value, np.ndarray) and value.size == 1]
        axis = int(constants[0].reshape(-1)[0]) if constants else None
    if picture is None or axis is None:
        return None
    axis %= picture.rank
    if axis != picture.axis:
        return [picture] * len(step.outputs) if step.kind == "split" else None
    parts, rest = divmod(len(picture.channels), len(step.outputs))
    if rest or not parts:
        return None
    made: list[Value] = []
    for index in range(len(step.outputs)):
        part = picture.take(axis, range(index * parts, (index + 1) * parts))
        made.append(part.without(axis) if part and step.kind == "unpack" else part)
    return made


def _join(step: Step[Any], inputs: list[Value]) -> Value:
    axis = step.options.get("axis")
    pictures = _pictures(inputs)
    if axis is None:
        last = inputs[-1]
        axis = int(last.reshape(-1)[0]) if isinstance(last, np.ndarray) and last.size == 1 else None
    elif len(pictures) != len(inputs):
        return None
    if axis is None or not pictures:
        return None
    new = step.kind == "pack"
    return joined(pictures, axis % (pictures[0].rank + new), new=new)


def _reshape(step: Step[Any], inputs: list[Value]) -> Value:
    picture = inputs[0]
    shape = step.options.get("shape")
    if shape is None and len(inputs) > 1 and isinstance(inputs[1], np.ndarray):
        shape = [int(size) for size in inputs[1].reshape(-1)]
    if not isinstance(picture, Traced) or shape is None:
        return None
    return picture.reshaped(shape)


def _expand(_step: Step[Any], inputs: list[Value]) -> Value:
    picture, axis = inputs[0], inputs[1]
    if not isinstance(picture, Traced) or not isinstance(axis, np.ndarray):
        return None
    return picture.with_new(int(axis.reshape(-1)[0]) % (picture.rank + 1))


def _squeeze(step: Step[Any], inputs: list[Value]) -> Value:
    picture, axes = inputs[0], step.options.get("axes") or ()
    if not isinstance(picture, Traced) or not axes:
        return None
    made: Traced | None = picture
    for axis in sorted({axis % picture.rank for axis in axes}, reverse=True):
        made = made.without(axis) if made else None
    return made


def _batch_norm(step: Step[Any], inputs: list[Value]) -> Value:
    """Applies batch normalization, with scale, offset, mean and variance for each channel."""
    picture, *numbers = inputs[:5]
    if not isinstance(picture, Traced) or len(numbers) != 4:
        return None
    if not all(isinstance(n, np.ndarray) and n.size for n in numbers):
        return None
    gamma, beta, mean, variance = (np.asarray(n, np.float64).reshape(-1) for n in numbers)
    if len(gamma) != len(picture.channels):
        return None
    scale = gamma / np.sqrt(variance + step.options.get("epsilon", 1e-3))
    return picture.map(scale.tolist(), (beta - mean * scale).tolist())


_RULES: dict[str, Callable[[Step[Any], list[Value]], Any]] = {
    "same": _same,
    "add": _arithmetic,
    "subtract": _arithmetic,
    "multiply": _arithmetic,
    "divide": _arithmetic,
    "clip": _clip,
    "select": _select,
    "reduce": _reduce,
    "statistic": _statistic,
    "square": _square,
    "squared_difference": _squared_difference,
    "transpose": _transpose,
    "reverse": _reverse,
    "gather": _gather,
    "strided_slice": _strided_slice,
    "slice": _slice,
    "split": _split,
    "unpack": _split,
    "concat": _join,
    "pack": _join,
    "reshape": _reshape,
    "expand": _expand,
    "squeeze": _squeeze,
    "batch_norm": _batch_norm,
}
# These ignore all operands but the first; the others may be sizes known only at run time.
ONE_OPERAND = {"same", "shape"}
