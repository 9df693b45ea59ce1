"""A graph's operators in the few words that matter for following a picture through them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from model_server.models.base import Array
from model_server.models.pixel_range.affine import Traced

Ref = TypeVar("Ref")


@dataclass(frozen=True)
class Statistic:
    """A number of the whole picture: its mean, its deviation."""


@dataclass(frozen=True)
class Lost:
    """What depends on the picture in a way that is not followed."""


Value = Traced | Statistic | Lost | Array | None


@dataclass(frozen=True)
class Step(Generic[Ref]):
    """One operator.

    Attributes:
        kind: What it does, as in `apply`; anything else ends the trace.
        inputs: What it reads.
        outputs: What it writes.
        options: Its attributes, for some kinds.
    """

    kind: str
    inputs: tuple[Ref, ...]
    outputs: tuple[Ref, ...]
    options: Mapping[str, Any] = field(default_factory=dict)
