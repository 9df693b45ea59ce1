"""Describes how a graph has changed a picture's pixels so far, as an affine map per channel.

Pure arithmetic on a handful of numbers, independent of the model's format. Operators that are not
affine in the pixels, or whose other operand is not constant, are not represented here: a trace ends
at them.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from model_server.models.base import Array


@dataclass(frozen=True)
class Channel:
    """One channel: `scale * pixel + offset`, where `pixel` is in the input's channel `source`."""

    source: int
    scale: float = 1.0
    offset: float = 0.0


@dataclass(frozen=True)
class Traced:
    """A tensor that is an affine function of the picture.

    Attributes:
        channels: The channels, in this tensor's order.
        axis: The channel dimension; None if there is a single channel without its own dimension.
        rank: Number of dimensions.
        standardized: 0: not standardized; 1: the picture's own mean has been subtracted; 2: it has
            also been divided by the picture's own deviation, so the pixel range no longer matters.
    """

    channels: tuple[Channel, ...]
    axis: int | None
    rank: int
    standardized: int = 0

    @classmethod
    def picture(cls, channels: int, axis: int, rank: int = 4) -> "Traced":
        """Returns the model's unchanged picture input."""
        return cls(tuple(Channel(index) for index in range(channels)), axis, rank)

    @property
    def same_for_all(self) -> bool:
        """Whether the channels are in their original order and all have the same map."""
        first = self.channels[0]
        return all(
            (channel.source, channel.scale, channel.offset) == (index, first.scale, first.offset)
            for index, channel in enumerate(self.channels)
        )

    def map(self, scales: Sequence[float], offsets: Sequence[float]) -> "Traced":
        """Applies `scale * x + offset` to each channel."""
        made = tuple(
            Channel(old.source, old.scale * scale, old.offset * scale + offset)
            for old, scale, offset in zip(self.channels, scales, offsets, strict=True)
        )
        return replace(self, channels=made)

    def take(self, axis: int, indices: Sequence[int]) -> "Traced | None":
        """Selects indices along a dimension, in that order; None if a channel is out of range."""
        if axis != self.axis:
            return self
        if not all(0 <= index < len(self.channels) for index in indices) or not indices:
            return None
        return replace(self, channels=tuple(self.channels[index] for index in indices))

    def without(self, axis: int) -> "Traced | None":
        """Removes a dimension; None if it is the channel dimension and has several channels."""
        if axis == self.axis:
            if len(self.channels) != 1:
                return None
            return replace(self, axis=None, rank=self.rank - 1)
        moved = None if self.axis is None else self.axis - (axis < self.axis)
        return replace(self, axis=moved, rank=self.rank - 1)

    def with_new(self, axis: int) -> "Traced":
        """Inserts a dimension of size 1.

        It becomes the channel dimension if there was none and the new one comes last.
        """
        if self.axis is None:
            return replace(self, rank=self.rank + 1, axis=axis if axis == self.rank else None)
        return replace(self, rank=self.rank + 1, axis=self.axis + (axis <= self.axis))

    def transposed(self, order: Sequence[int]) -> "Traced | None":
        """Reorders the dimensions; None if `order` is not a permutation of them."""
        if sorted(order) != list(range(self.rank)):
            return None
        moved = None if self.axis is None else list(order).index(self.axis)
        return replace(self, axis=moved)

    def reshaped(self, shape: Sequence[int]) -> "Traced | None":
        """Changes the shape; None unless channels stay last or all are alike and become one."""
        last_stays = self.axis == self.rank - 1 and bool(shape)
        if last_stays and shape[-1] == len(self.channels):
            return replace(self, rank=len(shape), axis=len(shape) - 1)
        if self.same_for_all:
            return replace(self, rank=len(shape), axis=None, channels=self.channels[:1])
        return None


def per_channel(value: Array, traced: Traced) -> tuple[float, ...] | None:
    """Reduces a constant operand to one number per channel; None if it does not broadcast that way.

    A constant mean picture is reduced to its mean color.
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
    """Applies an arithmetic operator to a picture and a constant; None if it is not affine.

    Args:
        kind: The operator: add, subtract, multiply or divide.
        traced: The operand that depends on the picture.
        constant: The other operand.
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
    """Joins parts along a new dimension or the channel dimension.

    Returns None if the parts are not channels of one picture.
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
