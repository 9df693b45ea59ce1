"""The training pictures: scenes of figures with their boxes, and single figures with their label.

`scene(seed)` and `single(seed)` are pure functions of their arguments: a seed names a picture, so
a training run, a held-out set and a unit test can all ask for the very same one. No file is read.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np
import numpy.typing as npt

from . import distractors, grounds, pens
from .outlines import Drawing, Path, rotation
from .shapes import DETECTED, FREQUENCY
from .sketches import CLASSIFIED

#: Side in pixels of the detector's input; scenes are delivered in this size.
SCENE_SIDE = 256
#: Side in pixels of the classifier's input.
SINGLE_SIDE = 96
#: Figures that would be shorter or slimmer than this (pixels of the delivered scene) are left out:
#: nobody could tell them apart.
LEAST_LENGTH = 15.0
LEAST_WIDTH = 7.0
#: No scene holds more figures than this.
MOST_FIGURES = 16
_WEIGHTS = np.array([FREQUENCY.get(name, 1.0) for name in DETECTED])
_SHARES = _WEIGHTS / _WEIGHTS.sum()

Patch = npt.NDArray[np.float64]
Boxes = npt.NDArray[np.float32]
Classes = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Scene:
    """A picture with its truth.

    Attributes:
        image: RGB, uint8, shape (side, side, 3).
        boxes: ymin, xmin, ymax, xmax as shares of the picture (0 to 1), shape (N, 4).
        classes: Index of each box's class in `shapes.DETECTED`, shape (N,).
    """

    image: grounds.Picture
    boxes: Boxes
    classes: Classes


def _colour(rng: np.random.Generator) -> tuple[float, float, float]:
    """Return an ink: mostly dark or a clear colour, at times a light one."""
    kind = rng.random()
    if kind < 0.4:
        level = rng.uniform(0, 80) + rng.uniform(-15, 15, 3)
    elif kind < 0.8:
        level = rng.permutation([rng.uniform(150, 255), rng.uniform(0, 200), rng.uniform(0, 70)])
    else:
        level = rng.uniform(190, 255, 3)
    clipped = np.clip(level, 0, 255)
    return (float(clipped[0]), float(clipped[1]), float(clipped[2]))


def _visible(below: Patch, least: float, rng: np.random.Generator) -> tuple[float, float, float]:
    """Return an ink that stands out from a patch by `least` and by what the patch itself varies."""
    mean, least = below.mean(axis=(0, 1)), least + float(below.std(axis=(0, 1)).max())
    for _ in range(12):
        colour = _colour(rng)
        if np.abs(np.asarray(colour) - mean).max() >= least:
            return colour
    return (20.0, 20.0, 20.0) if mean.mean() > 127 else (240.0, 240.0, 240.0)


def _style(below: Patch, size: float, fillable: bool, rng: np.random.Generator) -> pens.Style:
    """Return a pen for a figure of `size` pixels on a background that looks like `below`."""
    width = int(np.clip(round(np.exp(rng.uniform(np.log(0.012), np.log(0.12))) * size), 1, 24))
    thin = width <= 2
    opacity = rng.uniform(0.7, 1.0) if rng.random() < 0.4 else 1.0
    style = pens.Style(
        ink=_visible(below, 90 if thin else 60, rng),
        fill=None,
        width=width,
        opacity=max(opacity, 0.85) if thin else opacity,
        wobble=0.0 if rng.random() < 0.35 else float(rng.uniform(0.003, 0.022)),
        grain=rng.uniform(0.2, 0.55) if rng.random() < 0.25 else 0.0,
        passes=2 if rng.random() < 0.1 else 1,
        dash=max(3, int(size / 12)) if rng.random() < 0.04 and size > 40 else 0,
    )
    if fillable and rng.random() < 0.45:
        if rng.random() < 0.55:
            style = replace(style, fill=style.ink, ink=None if style.wobble == 0 else style.ink)
        else:
            style = replace(style, fill=_colour(rng))
        if rng.random() < 0.15 and style.ink is not None and size > 24:
            style = replace(style, hatch=max(4, width * 3))
    return style


def placed(drawing: Drawing, size: float, angle: float, rng: np.random.Generator) -> Drawing:
    """Return the figure turned, mildly stretched and sheared, `size` pixels long, at the origin."""
    shear = np.array([[1.0, rng.normal(0, 0.05)], [rng.normal(0, 0.05), rng.uniform(0.85, 1.15)]])
    flip = np.array([rng.choice([-1.0, 1.0]), 1.0])
    turned = [path.points * flip @ shear @ rotation(angle) for path in drawing]
    everything = np.concatenate(turned)
    low, high = everything.min(axis=0), everything.max(axis=0)
    scale = size / float((high - low).max())
    middle = (low + high) / 2
    return tuple(
        Path((points - middle) * scale, path.closed)
        for points, path in zip(turned, drawing, strict=True)
    )


def _moved(
    drawing: Drawing, centre: npt.NDArray[np.float64], mapping: grounds.Homography
) -> Drawing:
    moved = []
    for path in drawing:
        flat = np.concatenate([path.points + centre, np.ones((len(path.points), 1))], axis=1)
        through = flat @ mapping.T
        moved.append(Path(through[:, :2] / through[:, 2:], path.closed))
    return tuple(moved)


def _clear(
    box: npt.NDArray[np.float64], others: list[npt.NDArray[np.float64]], inside: bool
) -> bool:
    """Tell whether a new box leaves the earlier ones recognisable.

    Boxes may touch a little; a small one may lie within a large one where `inside` allows it.
    """
    area = float(np.prod(box[2:] - box[:2]))
    for other in others:
        common = np.minimum(box[2:], other[2:]) - np.maximum(box[:2], other[:2])
        shared = float(np.prod(np.maximum(common, 0)))
        theirs = float(np.prod(other[2:] - other[:2]))
        if shared > 0.08 * min(area, theirs) and not (inside and area < 0.2 * theirs):
            return False
    return True


def _angle(rng: np.random.Generator) -> float:
    return float(rng.normal(0, 0.15) if rng.random() < 0.5 else rng.uniform(0, 2 * np.pi))


class _Sheet:
    """A scene in the making."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.rng = rng
        width, height = np.exp(rng.uniform(np.log(256), np.log(448), 2)).astype(int)
        self.size = np.array([width, height], np.float64)
        self.canvas = grounds.ground(int(height), int(width), rng)
        self.mapping = np.eye(3)
        if rng.random() < 0.3:
            self.canvas, self.mapping = grounds.on_a_table(self.canvas, rng)
        self.taken: list[npt.NDArray[np.float64]] = []
        self.boxes: list[pens.Box] = []
        self.classes: list[int] = []

    def below(self, drawing: Drawing) -> Patch:
        """Return some of the pixels under a figure."""
        corners = np.concatenate([path.points for path in drawing])
        left, top = np.maximum(corners.min(axis=0), 0).astype(int)
        right, bottom = np.ceil(corners.max(axis=0)).astype(int) + 1
        patch = self.canvas[top:bottom:4, left:right:4]
        return patch.astype(np.float64) if patch.size else np.full((1, 1, 3), 128.0)

    def free_place(self, drawing: Drawing) -> Drawing | None:
        """Return the figure moved to a free place, or None when none was found in a few tries."""
        reach = np.abs(np.concatenate([path.points for path in drawing])).max(axis=0)
        low_end = np.minimum(reach * 0.9, self.size * 0.45)
        inside = self.rng.random() < 0.3
        for _ in range(12):
            centre = self.rng.uniform(low_end, self.size - low_end)
            moved = _moved(drawing, centre, self.mapping)
            corners = np.concatenate([path.points for path in moved])
            low, high = corners.min(axis=0), corners.max(axis=0)
            outside = -0.15 * (high - low) if self.rng.random() < 0.06 else np.array([2.0, 2.0])
            if (low < outside).any() or (high > self.size - outside).any():
                continue
            box = np.concatenate([low, high])
            if _clear(box, self.taken, inside):
                self.taken.append(box)
                return moved
        return None

    def add(self, index: int, size: float) -> None:
        """Draw one figure of a class somewhere free, or nothing when the sheet is full."""
        figure = list(DETECTED.values())[index]
        drawing = self.free_place(placed(figure(self.rng), size, _angle(self.rng), self.rng))
        if drawing is None:
            return
        extent = np.ptp(np.concatenate([path.points for path in drawing]), axis=0)
        squeezed = extent / self.size * SCENE_SIDE
        if squeezed.max() < LEAST_LENGTH or squeezed.min() < LEAST_WIDTH:
            return
        fillable = all(path.closed for path in drawing)
        style = _style(self.below(drawing), float(extent.max()), fillable, self.rng)
        box = pens.put(self.canvas, drawing, style, self.rng)
        if box is not None:
            self.boxes.append(box)
            self.classes.append(index)


def _sizes(rng: np.random.Generator) -> list[float]:
    """Return the figures' lengths as shares of the picture, large ones first."""
    if rng.random() < 0.03:
        return []
    if rng.random() < 0.22:
        return sorted(rng.uniform(0.25, 0.9, int(rng.integers(1, 4))).tolist(), reverse=True)
    count = 2 + min(int(rng.geometric(0.1)), MOST_FIGURES - 2)
    typical = rng.uniform(np.log(0.08), np.log(0.6 / np.sqrt(count) + 0.08))
    sizes = np.exp(rng.normal(typical, 0.35, count))
    return sorted(np.clip(sizes, 0.06, 0.62).tolist(), reverse=True)


def scene(seed: int, side: int = SCENE_SIDE) -> Scene:
    """Return the scene that a seed names, squeezed to side x side as the server squeezes."""
    rng = np.random.default_rng([7001, seed])
    sheet = _Sheet(rng)
    distractors.behind(sheet.canvas, rng)
    same = int(rng.choice(len(DETECTED), p=_SHARES)) if rng.random() < 0.1 else None
    for share in _sizes(rng):
        index = int(rng.choice(len(DETECTED), p=_SHARES)) if same is None else same
        sheet.add(index, share * float(sheet.size.min() + sheet.size.max()) / 2)
    for _ in range(int(rng.integers(0, 5)) if rng.random() < 0.6 else 0):
        spoiler = sheet.free_place(distractors.outline(sheet.size, rng))
        if spoiler is not None:
            distractors.put(sheet.canvas, spoiler, sheet.below(spoiler), rng)
    width, height = sheet.size
    boxes = np.array(sheet.boxes, np.float32).reshape(-1, 4)[:, [1, 0, 3, 2]]
    boxes /= np.array([height, width, height, width], np.float32)
    image = _squeezed(grounds.degrade(sheet.canvas, rng), side, rng)
    return Scene(image, boxes, np.array(sheet.classes, np.int64))


def _squeezed(picture: grounds.Picture, side: int, rng: np.random.Generator) -> grounds.Picture:
    """Resize without keeping the aspect, by any of the methods that a server might use."""
    method = rng.choice([cv2.INTER_LINEAR, cv2.INTER_LINEAR, cv2.INTER_AREA, cv2.INTER_NEAREST],
                        p=[0.3, 0.3, 0.33, 0.07])  # fmt: skip
    return np.asarray(cv2.resize(picture, (side, side), interpolation=int(method)), np.uint8)


def single(seed: int, side: int = SINGLE_SIDE) -> tuple[grounds.Picture, int]:
    """Return a picture of one figure and the index of its class in `sketches.CLASSIFIED`."""
    rng = np.random.default_rng([7002, seed])
    index = int(rng.integers(len(CLASSIFIED)))
    name = list(CLASSIFIED)[index]
    width, height = np.exp(rng.uniform(np.log(96), np.log(260), 2) * 1.0).astype(int)
    height = int(np.clip(height, width * 0.6, width * 1.7))
    canvas = grounds.ground(height, int(width), rng)
    mapping = np.eye(3)
    if rng.random() < 0.2:
        canvas, mapping = grounds.on_a_table(canvas, rng)
    distractors.behind(canvas, rng)
    angle = _angle(rng) if name in DETECTED else float(rng.normal(0, 0.2))
    size = rng.uniform(0.4, 0.95) * min(width, height)
    drawing = placed(CLASSIFIED[name](rng), size, angle, rng)
    slack = (np.array([width, height]) - size) / 2
    centre = np.array([width, height]) / 2 + rng.uniform(-1, 1, 2) * np.maximum(slack, 0)
    drawing = _moved(drawing, centre, mapping)
    fillable = any(path.closed for path in drawing)
    style = _style(canvas[::4, ::4].astype(np.float64), size, fillable, rng)
    if name in SINGLE_OUTLINED and style.fill is not None and style.fill == style.ink:
        style = replace(style, fill=None)
    if style.ink is None:
        style = replace(style, ink=style.fill)
    pens.put(canvas, drawing, style, rng)
    return _squeezed(grounds.degrade(canvas, rng), side, rng), index


#: Figures that would be lost in a fill of their outline's colour.
SINGLE_OUTLINED = frozenset({"fish", "flower", "house", "smiley"})
