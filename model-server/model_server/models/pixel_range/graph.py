"""Follows a picture through a graph, independent of the model's format.

The trace ends at any step that `rules` does not handle: a convolution, a matrix product, anything
that is not affine in the pixels. The values that reach such a step are the ones that the model was
trained on.
"""

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic

from model_server.models.base import Array
from model_server.models.pixel_range.affine import Traced
from model_server.models.pixel_range.rules import ONE_OPERAND, apply
from model_server.models.pixel_range.steps import Lost, Ref, Statistic, Step, Value

# Graphs are untrusted, so this limits the length of a trace.
_MOST_STEPS = 20_000


@dataclass
class Trace(Generic[Ref]):
    """The result: the known value of each tensor, and the picture at each place a trace ended."""

    values: dict[Ref, Value]
    arrivals: list[Traced]


Constant = Callable[[Ref], Array | None]
# Takes a step and its input values; returns its output values, or None if it does not handle it.
Special = Callable[[Step[Ref], list[Value]], list[Value] | None]


def trace(
    steps: Sequence[Step[Ref]],
    start: Mapping[Ref, Value],
    constant: Constant[Ref],
    special: Special[Ref] | None = None,
) -> Trace[Ref]:
    """Follows the values in `start` through the steps.

    Args:
        steps: The graph's steps, in any order.
        start: The picture, and any other values that are already known.
        constant: Returns the value of a tensor that does not depend on the picture; None if the
            tensor depends on it or its value is unknown.
        special: Handles format-specific steps, such as function calls.
    """
    consumers: dict[Ref, list[Step[Ref]]] = {}
    for step in steps:
        for ref in step.inputs:
            consumers.setdefault(ref, []).append(step)
    found = Trace(dict(start), [])
    waiting: deque[Step[Ref]] = deque(
        step for ref, value in start.items() if _depends(value) for step in consumers.get(ref, ())
    )
    done: set[int] = set()
    since_progress = 0
    for _ in range(_MOST_STEPS):
        if not waiting:
            break
        step = waiting.popleft()
        if id(step) in done:
            continue
        inputs = [_known(found, ref, constant) for ref in step.inputs]
        unknown = any(value is None for value in inputs)
        if unknown and since_progress <= len(waiting) and step.kind not in ONE_OPERAND:
            waiting.append(step)
            since_progress += 1
            continue
        since_progress = 0
        done.add(id(step))
        outputs = special(step, inputs) if special else None
        for ref, value in _outcome(found, step, inputs, outputs):
            found.values[ref] = value
            if _depends(value):
                waiting.extend(consumers.get(ref, ()))
    return found


def _known(found: Trace[Ref], ref: Ref, constant: Constant[Ref]) -> Value:
    value = found.values.get(ref)
    return constant(ref) if value is None else value


def _outcome(
    found: Trace[Ref], step: Step[Ref], inputs: list[Value], outputs: list[Value] | None
) -> Iterator[tuple[Ref, Value]]:
    """Yields a step's output values; records an arrival if the trace ends at this step."""
    made = apply(step, inputs) if outputs is None else outputs
    if made is None:
        found.arrivals += [value for value in inputs if isinstance(value, Traced)]
        made = [Lost()] * len(step.outputs)
    yield from zip(step.outputs, made, strict=False)


def _depends(value: Value) -> bool:
    return isinstance(value, Traced | Statistic)
