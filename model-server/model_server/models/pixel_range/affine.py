"""What has become of a picture's pixels at some place of a graph: an affine map per channel.

Pure arithmetic on a handful of numbers; knows no format. Operators that are not affine in the
pixels, or whose other operand is not constant, have no counterpart here: a trace ends at them.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from model_server.models.base import Array


@dataclass(frozen=True)
class Channel:
    """One channel: `scale * pixel + offset`, the pixel being of channel `source` of the input."""

    source: int
    scale: float = 1.0
    offset: float = 0.0


@dataclass(frozen=True)
class Traced:
    """A tensor that is an affine image of the picture.

    Attributes:
        channels: In their order here.
        axis: Which dimension they are; None when there is one channel and no dimension of its own.
        rank: Number of dimensions.
        standardized: 0 as it is; 1 the picture's own mean has been subtracted; 2 it has been
            divided by the picture's own deviation as well, so its range no longer matters.
    """

    channels: tuple[Channel, ...]
    axis: int | None
    rank: int
    standardized: int = 0

    @classmethod
    def picture(cls, channels: int, axis: int, rank: int = 4) -> "Traced":
        """The model's input itself."""
        return cls(tuple(Channel(index) for index in range(channels)), axis, rank)

    @property
    def same_for_all(self) -> bool:
        """Whether every channel is in its place and has been treated alike."""
        first = self.channels[0]
        return all(
            (channel.source, channel.scale, channel.offset) == (index, first.scale, first.offset)
            for index, channel in enumerate(self.channels)
        )

    def map(self, scales: Sequence[float], offsets: Sequence[float]) -> "Traced":
        """`scale * x + offset`, channel by channel."""
        made = tuple(
            Channel(old.source, old.scale * scale, old.offset * scale + offset)
            for old, scale, offset in zip(self.channels, scales, offsets, strict=True)
        )
        return replace(self, channels=made)

    def take(self, axis: int, indices: Sequence[int]) -> "Traced | None":
        """Some places along a dimension, in a new order; None if a channel is out of range."""
        if axis != self.axis:
            return self
        if not all(0 <= index < len(self.channels) for index in indices) or not indices:
            return None
        return replace(self, channels=tuple(self.channels[index] for index in indices))

    def without(self, axis: int) -> "Traced | None":
        """With a dimension taken away; the one of the channels only if a single one is left."""
        if axis == self.axis:
            if len(self.channels) != 1:
                return None
            return replace(self, axis=None, rank=self.rank - 1)
        moved = None if self.axis is None else self.axis - (axis < self.axis)
        return replace(self, axis=moved, rank=self.rank - 1)

    def with_new(self, axis: int) -> "Traced":
        """With a dimension of size 1 put in; a lone channel without its own gets it at the end."""
        if self.axis is None:
            return replace(self, rank=self.rank + 1, axis=axis if axis == self.rank else None)
        return replace(self, rank=self.rank + 1, axis=self.axis + (axis <= self.axis))

    def transposed(self, order: Sequence[int]) -> "Traced | None":
        """With its dimensions in another order."""
        if sorted(order) != list(range(self.rank)):
            return None
        moved = None if self.axis is None else list(order).index(self.axis)
        return replace(self, axis=moved)

    def reshaped(self, shape: Sequence[int]) -> "Traced | None":
        """With another shape: channels stay last, or all are alike and become one."""
        last_stays = self.axis == self.rank - 1 and bool(shape)
        if last_stays and shape[-1] == len(self.channels):
            return replace(self, rank=len(shape), axis=len(shape) - 1)
        if self.same_for_all:
            return replace(self, rank=len(shape), axis=None, channels=self.channels[:1])
        return None


def per_channel(value: Array, traced: Traced) -> tuple[float, ...] | None:
    """A constant operand as one number for each channel; None if it does not broadcast so.

    A whole mean picture counts by its mean colour.
    """
    value = np.asarray(value)
    if value.dtype.kind not in "fiub" or value.size == 0 or value.ndim > traced.rank:
        return None
    count = len(traced.channels)
    if value.size == 1:
        return (float(value.reshape(-1)[0]),) * count
    if traced.axis is None:
        return None
    aligned = value.reshape((1,) * (traced.rank - value.ndim) + value.shape)
    size = aligned.shape[traced.axis]
    others = tuple(index for index in range(traced.rank) if index != traced.axis)
    means = aligned.astype(np.float64).mean(axis=others)
    if size not in {1, count}:
        return None
    return tuple(float(number) for number in np.broadcast_to(means, (count,)))


def arithmetic(
    kind: str, traced: Traced, constant: Array, *, constant_first: bool
) -> Traced | None:
    """One of add, subtract, multiply, divide with a constant; None if it is not affine.

    Args:
        kind: The operator.
        traced: The picture's operand.
        constant: The other one.
        constant_first: Whether the constant is the left operand.
    """
    numbers = per_channel(constant, traced)
    if numbers is None or (kind == "divide" and (constant_first or not all(numbers))):
        return None
    ones, zeros = (1.0,) * len(numbers), (0.0,) * len(numbers)
    negative = tuple(-number for number in numbers)
    match kind:
        case "subtract":
            scales = tuple(-one for one in ones) if constant_first else ones
            return traced.map(scales, numbers if constant_first else negative)
        case "multiply":
            return traced.map(numbers, zeros)
        case "divide":
            return traced.map(tuple(1.0 / number for number in numbers), zeros)
    return traced.map(ones, numbers)


def joined(parts: Sequence[Traced], axis: int, *, new: bool) -> Traced | None:
    """Parts put together along a dimension, which is a new one or that of the channels.

    None if they are no channels of one picture.
    """
    first = parts[0]
    if any((part.axis, part.rank) != (first.axis, first.rank) for part in parts):
        return None
    together = tuple(channel for part in parts for channel in part.channels)
    if new and first.axis is None:
        return replace(first, channels=together, axis=axis, rank=first.rank + 1)
    if not new and axis == first.axis:
        return replace(first, channels=together)
    return None
