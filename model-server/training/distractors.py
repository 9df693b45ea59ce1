"""What is on the picture but is none of the figures: writing, scribbles, underlines, stray lines.

They teach the detector to answer nothing. Closed outlines are never drawn here, since a closed
scribble may well be a circle.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np
import numpy.typing as npt

from . import pens
from .outlines import Drawing, Path, rotation

if TYPE_CHECKING:
    from .pens import Canvas

_LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.,:-?!"
_FONTS = (
    cv2.FONT_HERSHEY_SIMPLEX,
    cv2.FONT_HERSHEY_DUPLEX,
    cv2.FONT_HERSHEY_COMPLEX,
    cv2.FONT_HERSHEY_SCRIPT_SIMPLEX,
    cv2.FONT_HERSHEY_TRIPLEX,
)


def behind(canvas: Canvas, rng: np.random.Generator) -> None:
    """Draw faint lines across the whole background, as folds, cables and table edges do."""
    height, width = canvas.shape[:2]
    for _ in range(int(rng.integers(1, 4)) if rng.random() < 0.2 else 0):
        ends = (rng.uniform(-0.2, 1.2, (2, 2)) * (width, height)).astype(int)
        colour = np.clip(canvas.mean(axis=(0, 1)) + rng.uniform(-60, 60), 0, 255).tolist()
        thick = int(rng.integers(1, 4))
        cv2.line(canvas, ends[0].tolist(), ends[1].tolist(), colour, thick, cv2.LINE_AA)


def outline(size: npt.NDArray[np.float64], rng: np.random.Generator) -> Drawing:
    """Return a scribble, a squiggle, a tick or the frame in which `put` writes a word."""
    reach = float(rng.uniform(0.06, 0.35) * size.mean())
    kind = rng.random()
    if kind < 0.55:
        frame = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * (reach / 2, reach / 8)
        return (Path(frame),)
    if kind < 0.7:
        along = np.linspace(-1, 1, 40)
        waves = np.sin(along * rng.uniform(6, 30)) * rng.uniform(0.05, 0.35)
        points = np.stack([along, waves + rng.normal(0, 0.02, 40)], axis=1)
    elif kind < 0.85:
        points = np.cumsum(rng.normal(0, 1, (int(rng.integers(6, 25)), 2)), axis=0)
        points = (points - points.mean(axis=0)) / np.abs(points).max()
    elif kind < 0.93:
        points = np.array([[-1, 0], [-0.4, 0.6], [1, -0.8]]) * rng.uniform(0.3, 1.0)
    else:
        points = np.array([[-1, 0], [1, rng.normal(0, 0.1)]])
    turn = rotation(float(rng.normal(0, 0.4)))
    return (Path(points @ turn * (reach / 2), closed=False),)


def put(
    canvas: Canvas, drawing: Drawing, below: npt.NDArray[np.float64], rng: np.random.Generator
) -> None:
    """Draw an `outline` in an ink that shows on a background of mean colour `below`."""
    level = rng.uniform(0, 90, 3) if below.mean() > 110 else rng.uniform(170, 255, 3)
    ink = (float(level[0]), float(level[1]), float(level[2]))
    if drawing[0].closed:
        _write(canvas, drawing[0], ink, rng)
        return
    width = int(rng.integers(1, 5))
    pens.put(canvas, drawing, pens.Style(ink=ink, fill=None, width=width, wobble=0.01), rng)


def _write(
    canvas: Canvas, frame: Path, ink: tuple[float, float, float], rng: np.random.Generator
) -> None:
    """Write random words (never a single letter, which may look like a figure) in the frame."""
    left, top = frame.points.min(axis=0)
    width, height = np.ptp(frame.points, axis=0)
    letters = max(2, int(width / max(height, 1.0) * 1.6))
    word = "".join(rng.choice(list(_LETTERS + "   "), letters))
    font, thick = int(rng.choice(_FONTS)), 1 if height < 25 else int(rng.integers(1, 4))
    (wide, tall), _ = cv2.getTextSize(word, font, 1.0, thick)
    scale = min(width / max(wide, 1), height / max(tall, 1))
    roi = canvas[max(int(top), 0) : int(top + height * 1.3), max(int(left), 0) :]
    mask = np.zeros(roi.shape[:2], np.uint8)
    cv2.putText(mask, word, (0, int(height * 0.9)), font, scale, (255,), thick, cv2.LINE_AA)
    reach = int(width * 1.1) + 1
    roi, share = roi[:, :reach], mask[:, :reach].astype(np.float32) / 255
    roi += (np.asarray(ink, np.float32) - roi) * share[..., None]
