"""Turn an ideal outline into what a hand or a machine leaves on the picture: strokes, ink, fill.

Works on float32 RGB canvases (0 to 255) in place and returns the box of the pixels it touched; it
chooses neither the figure nor where it goes (`draw` does).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from .outlines import Drawing, Path, Points

Canvas = npt.NDArray[np.float32]
Mask = npt.NDArray[np.uint8]
Box = tuple[int, int, int, int]

#: OpenCV draws with fixed-point coordinates of this many fractional bits.
FRACTION_BITS = 4
#: A pixel belongs to the figure's box when at least this much (of 255) of it is inked.
INKED = 64


@dataclass(frozen=True)
class Style:
    """How one figure is drawn.

    Attributes:
        ink: Stroke colour, RGB 0 to 255; None leaves the outline out (fill alone).
        fill: Fill colour, or None.
        width: Stroke width in pixels, at least 1.
        opacity: Of stroke and fill, 0 to 1.
        wobble: How far the hand strays, as a share of the figure's size; 0 is a machine.
        grain: How much the paper's texture eats the ink, 0 to 1 (pencil, chalk).
        passes: How often the outline is gone over.
        hatch: Distance in pixels of the hatching lines that replace a flat fill, 0 for none.
        dash: Length in pixels of dashes, 0 for an unbroken line.
    """

    ink: tuple[float, float, float] | None
    fill: tuple[float, float, float] | None
    width: int
    opacity: float = 1.0
    wobble: float = 0.0
    grain: float = 0.0
    passes: int = 1
    hatch: int = 0
    dash: int = 0


def _dense(points: Points, closed: bool, count: int) -> Points:
    """Return `count` points evenly spaced along a polyline."""
    if closed:
        points = np.concatenate([points, points[:1]])
    along = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(points, axis=0), axis=1))])
    at = np.linspace(0.0, along[-1], count)
    return np.stack([np.interp(at, along, points[:, 0]), np.interp(at, along, points[:, 1])], 1)


def _strays(count: int, rng: np.random.Generator) -> Points:
    """Return a smooth random displacement of about unit size for each of `count` points."""
    knots = max(3, int(rng.integers(3, 12)))
    at, grid = np.linspace(0, 1, count), np.linspace(0, 1, knots)
    return np.stack([np.interp(at, grid, rng.normal(0, 1, knots)) for _ in range(2)], axis=1)


def by_hand(path: Path, size: float, wobble: float, rng: np.random.Generator) -> Points:
    """Return the points a hand visits that follows a path in pixels: shaky, closing inexactly."""
    if wobble <= 0:
        return np.concatenate([path.points, path.points[:1]]) if path.closed else path.points
    length = float(np.abs(np.diff(path.points, axis=0)).sum())
    count = int(np.clip(length / 2, 60, 150))
    points = path.points
    if path.closed and len(points) > 12:
        points = np.roll(points, int(rng.integers(len(points))), axis=0)
    points = _dense(points, path.closed, count)
    if path.closed:
        over = round(float(rng.normal(0.01, 0.025)) * count)
        points = np.concatenate([points, points[1 : over + 1]])[: count + over]
    if rng.random() < 0.5:  # A quick hand rounds corners off.
        ends = points[[0, -1]].copy()
        reach = max(2, int(rng.uniform(0.02, 0.05) * len(points)))
        padded = np.pad(points, ((reach // 2, reach - 1 - reach // 2), (0, 0)), mode="edge")
        points = np.stack(
            [np.convolve(padded[:, axis], np.ones(reach) / reach, "valid") for axis in (0, 1)], 1
        )
        points[[0, -1]] = ends
    points = points + _strays(len(points), rng) * wobble * size
    return points + rng.normal(0, 0.002 * size, points.shape)


def _fixed(points: Points, origin: tuple[int, int]) -> npt.NDArray[np.int32]:
    return np.round((points - origin) * (1 << FRACTION_BITS)).astype(np.int32)


def _stroke(mask: Mask, points: npt.NDArray[np.int32], style: Style) -> None:
    if style.dash:
        steps = np.linalg.norm(np.diff(points.astype(np.float64), axis=0), axis=1)
        total = steps.sum() / (1 << FRACTION_BITS)
        fine = _dense(points.astype(np.float64), False, max(8, int(total / style.dash * 8)))
        pieces = [fine[i : i + 6].astype(np.int32) for i in range(0, len(fine) - 2, 10)]
    else:
        pieces = [points]
    cv2.polylines(mask, pieces, False, 255, style.width, cv2.LINE_AA, FRACTION_BITS)


def _filled(mask: Mask, outlines: list[npt.NDArray[np.int32]], style: Style) -> None:
    for outline in outlines:
        cv2.fillPoly(mask, [outline], 255, cv2.LINE_AA, FRACTION_BITS)
    if style.hatch:
        lines = np.zeros_like(mask)
        height, width = mask.shape
        for offset in range(-height, width, style.hatch):
            cv2.line(lines, (offset, height), (offset + height, 0), 255, style.width, cv2.LINE_AA)
        np.minimum(mask, lines, out=mask)


def _blend(
    canvas: Canvas, mask: Mask, colour: tuple[float, float, float], style: Style,
    rng: np.random.Generator,
) -> None:  # fmt: skip
    alpha = mask.astype(np.float32) * (style.opacity / 255)
    if style.grain:
        height, width = mask.shape
        rough = rng.random((height, width), dtype=np.float32)
        alpha *= 1 - style.grain * rough
    canvas += (np.asarray(colour, np.float32) - canvas) * alpha[..., None]


def put(canvas: Canvas, drawing: Drawing, style: Style, rng: np.random.Generator) -> Box | None:
    """Draw a figure given in pixels of the canvas.

    Returns:
        The box of the inked pixels (left, top, right, bottom; right and bottom exclusive), or
        None when no pixel of it is on the canvas.
    """
    height, width = canvas.shape[:2]
    corners = np.concatenate([path.points for path in drawing])
    size = float(np.ptp(corners, axis=0).max())
    margin = style.width + 3 + 3 * style.wobble * size
    left, top = np.maximum(np.floor(corners.min(axis=0) - margin), 0).astype(int)
    right, bottom = np.minimum(np.ceil(corners.max(axis=0) + margin), (width, height)).astype(int)
    if right - left < 2 or bottom - top < 2:
        return None
    roi = canvas[top:bottom, left:right]
    outlines = [
        (_fixed(by_hand(path, size, style.wobble, rng), (left, top)), path.closed)
        for path in drawing
        for _ in range(style.passes)
    ]
    inked = np.zeros(roi.shape[:2], np.uint8)
    if style.fill is not None:
        mask = np.zeros_like(inked)
        _filled(mask, [points for points, closed in outlines if closed], style)
        _blend(roi, mask, style.fill, style, rng)
        inked = mask
    if style.ink is not None:
        mask = np.zeros_like(inked)
        for points, _ in outlines:
            _stroke(mask, points, style)
        _blend(roi, mask, style.ink, style, rng)
        inked = np.maximum(inked, mask)
    x, y, w, h = cv2.boundingRect((inked >= INKED).astype(np.uint8))
    return (left + x, top + y, left + x + w, top + y + h) if w and h else None
