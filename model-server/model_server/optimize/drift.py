"""How far two models' answers to the same pictures lie apart. Pure: no model, no file.

An answer is the score of every class that the model named; a class that is absent has the score 0.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

Scores = Mapping[str, float]


@dataclass(frozen=True)
class Bounds:
    """What is still the same model.

    Attributes:
        agreement: Least share of pictures (0 to 1) with the same first class.
        drift: Largest difference of a score (0 to 1) in any picture.
    """

    agreement: float
    drift: float


@dataclass(frozen=True)
class Drift:
    """What the comparison of two models found.

    Attributes:
        pictures: How many were compared.
        same_first: In how many of them the first class is the same.
        largest: The largest difference of a score in any picture.
        farthest: The picture where that is, and the two scores, for a person.
        flipped: The first few pictures whose first class changed, and how, for a person.
    """

    pictures: int
    same_first: int
    largest: float
    farthest: str
    flipped: tuple[str, ...]

    def within(self, bounds: Bounds) -> bool:
        """Whether this is still the same model."""
        # Less than a whole picture is rounding of the share, not a picture that may change.
        needed = math.ceil(bounds.agreement * self.pictures - 1e-9)
        return self.same_first >= needed and self.largest <= bounds.drift

    def told(self) -> str:
        """The finding as a person reads it."""
        text = f"the first class is the same in {self.same_first} of {self.pictures} pictures"
        if self.flipped:
            text += f" (not in {'; '.join(self.flipped)})"
        return f"{text}, the largest difference of a score is {self.largest:.3f} ({self.farthest})"


def compare(names: Sequence[str], source: Sequence[Scores], found: Sequence[Scores]) -> Drift:
    """Compares answers picture by picture.

    Args:
        names: Of the pictures, for people.
        source: The source's scores by class, for each picture.
        found: The converted model's.

    Raises:
        ValueError: there are no pictures, or not as many answers.
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
            # A score that is not a number must not pass for one that is close.
            difference = abs(old - new) if math.isfinite(old - new) else math.inf
            if difference > largest:
                largest, farthest = difference, f"{name}: {key} from {old:.3f} to {new:.3f}"
    return Drift(len(names), same, largest, farthest, tuple(flipped))


def first_of(scores: Scores) -> str:
    """The class with the highest score, of equals the first by name; empty if there is none."""
    return min(scores, key=lambda key: (-scores[key], key), default="")
