"""Measures how much two models' answers to the same pictures differ. Pure: no models, no files.

An answer is the score of every class that the model returned; a missing class has the score 0.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

Scores = Mapping[str, float]


@dataclass(frozen=True)
class Bounds:
    """Bounds within which two models count as the same.

    Attributes:
        agreement: Minimum share of pictures (0 to 1) with the same first class.
        drift: Maximum difference of a score (0 to 1) in any picture.
    """

    agreement: float
    drift: float


@dataclass(frozen=True)
class Drift:
    """The result of comparing two models.

    Attributes:
        pictures: Number of pictures compared.
        same_first: Number of pictures with the same first class.
        largest: The largest difference of a score in any picture.
        farthest: The picture with that difference and its two scores, in human-readable form.
        flipped: The first few pictures whose first class changed, and how, in human-readable form.
    """

    pictures: int
    same_first: int
    largest: float
    farthest: str
    flipped: tuple[str, ...]

    def within(self, bounds: Bounds) -> bool:
        """Tells whether the difference is within the bounds."""
        # Round up, so that a fraction of a picture does not allow one more picture to change.
        needed = math.ceil(bounds.agreement * self.pictures - 1e-9)
        return self.same_first >= needed and self.largest <= bounds.drift

    def told(self) -> str:
        """Describes the result in human-readable form."""
        text = f"the first class is the same in {self.same_first} of {self.pictures} pictures"
        if self.flipped:
            text += f" (not in {'; '.join(self.flipped)})"
        return f"{text}, the largest difference of a score is {self.largest:.3f} ({self.farthest})"


def compare(names: Sequence[str], source: Sequence[Scores], found: Sequence[Scores]) -> Drift:
    """Compares answers picture by picture.

    Args:
        names: Human-readable names of the pictures.
        source: The source's scores by class, for each picture.
        found: The converted model's scores by class, for each picture.

    Raises:
        ValueError: if there are no pictures, or the number of answers differs.
    """
    if not names:
        raise ValueError("no pictures to compare")
    flipped: list[str] = []
    largest, farthest = 0.0, "nowhere"
    same = 0
    for name, before, after in zip(names, source, found, strict=True):
        first, now = first_of(before), first_of(after)
        if first == now:
            same += 1
        elif len(flipped) < 3:
            flipped.append(f"{name}: {first or 'nothing'} became {now or 'nothing'}")
        for key in sorted(before.keys() | after.keys()):
            old, new = before.get(key, 0.0), after.get(key, 0.0)
            # A score that is not finite must not pass as close.
            difference = abs(old - new) if math.isfinite(old - new) else math.inf
            if difference > largest:
                largest, farthest = difference, f"{name}: {key} from {old:.3f} to {new:.3f}"
    return Drift(len(names), same, largest, farthest, tuple(flipped))


def first_of(scores: Scores) -> str:
    """Returns the class with the highest score, ties by name; empty if there are no scores."""
    return min(scores, key=lambda key: (-scores[key], key), default="")
