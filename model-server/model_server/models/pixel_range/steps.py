"""A minimal representation of a graph's operators, enough to follow a picture through them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from model_server.models.base import Array
from model_server.models.pixel_range.affine import Traced

Ref = TypeVar("Ref")


@dataclass(frozen=True)
class Statistic:
    """A number computed from the whole picture, such as its mean or deviation."""


@dataclass(frozen=True)
class Lost:
    """A value that depends on the picture in a way that the trace does not follow."""


Value = Traced | Statistic | Lost | Array | None


@dataclass(frozen=True)
class Step(Generic[Ref]):
    """One operator.

    Attributes:
        kind: What it does, as named in `rules`; any other kind ends the trace.
        inputs: References to the tensors that it reads.
        outputs: References to the tensors that it writes.
        options: Its attributes; only set for some kinds.
    """

    kind: str
    inputs: tuple[Ref, ...]
    outputs: tuple[Ref, ...]
    options: Mapping[str, Any] = field(default_factory=dict)
