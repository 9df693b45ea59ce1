"""Follows a picture through a graph, whatever format it is of.

The trace ends wherever a step is none that `rules` knows: a convolution, a matrix product, anything
that is not affine in the pixels. What the picture has become there is what the model was trained
on.
"""

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic

from model_server.models.base import Array
from model_server.models.pixel_range.affine import Traced
from model_server.models.pixel_range.rules import ONE_OPERAND, apply
from model_server.models.pixel_range.steps import Lost, Ref, Statistic, Step, Value

# A graph is a stranger's: no trace takes longer than this many steps.
_MOST_STEPS = 20_000


@dataclass
class Trace(Generic[Ref]):
    """The result: what is known of each tensor, and what the picture was where it was used."""

    values: dict[Ref, Value]
    arrivals: list[Traced]


Constant = Callable[[Ref], Array | None]
# Takes a step and its inputs' values; gives its outputs' values, or None if it is not its to do.
Special = Callable[[Step[Ref], list[Value]], list[Value] | None]


def trace(
    steps: Sequence[Step[Ref]],
    start: Mapping[Ref, Value],
    constant: Constant[Ref],
    special: Special[Ref] | None = None,
) -> Trace[Ref]:
    """Follows what is in `start` through the steps.

    Args:
        steps: In any order.
        start: The picture, and whatever else is known already.
        constant: The value of what does not depend on the picture; None if it does, or is not
            known.
        special: Does steps in the format's own way, such as calls of functions.
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
    """What a step's outputs are; where the trace ends at it, that is noted."""
    made = apply(step, inputs) if outputs is None else outputs
    if made is None:
        found.arrivals += [value for value in inputs if isinstance(value, Traced)]
        made = [Lost()] * len(step.outputs)
    yield from zip(step.outputs, made, strict=False)


def _depends(value: Value) -> bool:
    return isinstance(value, Traced | Statistic)
