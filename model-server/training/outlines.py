"""What figures are made of: paths of points, and the few curves that they share.

An outline is geometry alone: no pen, no colour, no pixels (those are `pens` and `draw`). All
coordinates are in the figure's own frame, about -1 to 1 on both axes, y down.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Points = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Path:
    """One movement of the pen.

    Attributes:
        points: Corners of a polyline, shape (N, 2), x then y.
        closed: Whether the last point joins the first. Only closed paths can be filled.
    """

    points: Points
    closed: bool = True


Drawing = tuple[Path, ...]


def arc(
    start: float, stop: float, radius: tuple[float, float] = (1.0, 1.0), count: int = 40
) -> Points:
    """Return points of an elliptic arc about the origin; angles in radians, clockwise (y down)."""
    angle = np.linspace(start, stop, count)
    return np.stack([radius[0] * np.cos(angle), radius[1] * np.sin(angle)], axis=1)


def regular(corners: int, start: float = -np.pi / 2) -> Points:
    """Return the corners of a regular polygon on the unit circle, the first one on top."""
    return arc(start, start + 2 * np.pi * (corners - 1) / corners, count=corners)


def oval(across: float, down: float, at: tuple[float, float], count: int = 20) -> Path:
    """Return an ellipse with these half axes about a point."""
    return Path(arc(0.0, 2 * np.pi * (count - 1) / count, (across, down), count) + np.array(at))


def polygon(*corners: tuple[float, float]) -> Path:
    """Return a closed path through the corners."""
    return Path(np.array(corners, dtype=np.float64))


def line(*corners: tuple[float, float]) -> Path:
    """Return an open path through the corners."""
    return Path(np.array(corners, dtype=np.float64), closed=False)


def rotation(angle: float) -> Points:
    """Return the 2x2 matrix that turns row vectors clockwise (y down) by an angle in radians."""
    return np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
