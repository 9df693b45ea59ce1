"""The figures that the detector knows, as ideal outlines drawn anew at every call.

Randomness comes only from the generator that is passed in, so that a seed names a picture. The
outlines' frame is that of `outlines`.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .outlines import Drawing, Path, arc, line, polygon, regular, rotation

Figure = Callable[[np.random.Generator], Drawing]


def circle(rng: np.random.Generator) -> Drawing:
    """Return a circle or a mild ellipse."""
    start = rng.uniform(0, 2 * np.pi)
    points = arc(start, start + 2 * np.pi * 39 / 40, (1.0, rng.uniform(0.7, 1.0)))
    return (Path(points),)


def triangle(rng: np.random.Generator) -> Drawing:
    """Return a triangle none of whose angles is below about 25 degrees."""
    if rng.random() < 0.5:
        return (Path(regular(3) * (1.0, rng.uniform(0.75, 1.3))),)
    while True:
        corners = rng.uniform(-1, 1, (3, 2))
        sides = np.roll(corners, -1, axis=0) - corners
        length = np.linalg.norm(sides, axis=1)
        back = -np.roll(sides, 1, axis=0)
        cosine = (sides * back).sum(axis=1) / (length * np.roll(length, 1) + 1e-9)
        if length.min() > 0.7 and cosine.max() < 0.9:
            return (Path(corners),)


def rectangle(rng: np.random.Generator) -> Drawing:
    """Return a square or a rectangle, at times with rounded corners."""
    height = 1.0 if rng.random() < 0.4 else rng.uniform(0.4, 1.0)
    if rng.random() < 0.75:
        return (polygon((-1, -height), (1, -height), (1, height), (-1, height)),)
    round_by = rng.uniform(0.1, 0.35) * height
    corner = arc(-np.pi, -np.pi / 2, count=6) * round_by
    inner = np.array([1 - round_by, height - round_by])
    turned = [corner, corner[::-1] * (-1, 1), -corner, corner[::-1] * (1, -1)]
    signs = [(-1, -1), (1, -1), (1, 1), (-1, 1)]
    return (Path(np.concatenate([c + inner * s for c, s in zip(turned, signs, strict=True)])),)


def hexagon(rng: np.random.Generator) -> Drawing:
    """Return a regular hexagon, at times a little stretched."""
    return (Path(regular(6) * (1.0, rng.uniform(0.8, 1.15))),)


def star(rng: np.random.Generator) -> Drawing:
    """Return a star of four to eight points, mostly five; at times the pentagram of one stroke."""
    if rng.random() < 0.25:
        return (Path(regular(5)[[0, 2, 4, 1, 3]]),)
    corners = int(rng.choice([5, 5, 5, 5, 5, 6, 8, 4]))
    deepest = {4: 0.3, 5: 0.32, 6: 0.42, 8: 0.5}[corners]
    points = regular(2 * corners)
    points[1::2] *= rng.uniform(deepest, deepest + 0.2)
    return (Path(points),)


def heart(rng: np.random.Generator) -> Drawing:
    """Return a heart, from the well-known sine curve or from two arcs and a tip."""
    if rng.random() < 0.5:
        angle = np.linspace(np.pi, 3 * np.pi, 48, endpoint=False)
        x = 16 * np.sin(angle) ** 3
        y = 13 * np.cos(angle) - 5 * np.cos(2 * angle) - 2 * np.cos(3 * angle) - np.cos(4 * angle)
        points = np.stack([x, -y], axis=1) / 16
    else:
        lobe = arc(-np.pi * rng.uniform(1.1, 1.25), 0, (0.5, rng.uniform(0.45, 0.65)), 16)
        lobe[:, 0] -= 0.5
        right = lobe[::-1] * (-1, 1)
        tip = np.array([[0.0, rng.uniform(0.9, 1.3)]])
        points = np.concatenate([lobe, right, tip])
    return (Path(points * (rng.uniform(0.85, 1.1), 1.0)),)


def _arrow_lines(rng: np.random.Generator) -> Drawing:
    bend = rng.normal(0, 0.25) if rng.random() < 0.3 else 0.0
    along = np.linspace(-1, 1, 16)
    shaft = np.stack([along, bend * (1 - along**2)], axis=1)
    tip = shaft[-1]
    back, half = rng.uniform(0.3, 0.7), rng.uniform(0.22, 0.5)
    turn = np.arctan2(*(shaft[-1] - shaft[-3])[::-1])
    head = np.array([[-back, -half], [0, 0], [-back, half]]) @ rotation(float(turn)) + tip
    paths = [Path(shaft, closed=False), Path(head, closed=bool(rng.random() < 0.4))]
    if rng.random() < 0.12:
        paths.append(Path(head * (-1, 1), closed=False))
    return tuple(paths)


def arrow(rng: np.random.Generator) -> Drawing:
    """Return an arrow that points to the right: a line with a head, or a block arrow."""
    if rng.random() < 0.55:
        return _arrow_lines(rng)
    neck, width = rng.uniform(-0.2, 0.55), rng.uniform(0.12, 0.42)
    half = rng.uniform(width + 0.15, min(0.95, width + 0.6))
    tail = rng.uniform(-0.3, 0.3) if rng.random() < 0.15 else 0.0
    upper = [(-1, -width), (neck, -width), (neck, -half), (1.0, 0.0)]
    lower = [(neck, half), (neck, width), (-1, width)]
    notch = [(-1 + tail, 0.0)] if tail else []
    return (polygon(*upper, *lower, *notch),)


def cross(rng: np.random.Generator) -> Drawing:
    """Return a plus or Latin cross: two strokes, or the outline of a thick cross."""
    reach = 1.0 if rng.random() < 0.65 else rng.uniform(0.65, 1.0)
    bar = 0.0 if rng.random() < 0.75 else rng.uniform(-0.35, 0.0)
    if rng.random() < 0.55:
        lean = rng.normal(0, 0.06)
        return (line((lean, -1), (-lean, 1)), line((-reach, bar + lean), (reach, bar - lean)))
    t = rng.uniform(0.15, 0.38)
    top = [(-t, -1), (t, -1), (t, bar - t), (reach, bar - t), (reach, bar + t), (t, bar + t)]
    return (
        polygon(
            *top,
            (t, 1),
            (-t, 1),
            (-t, bar + t),
            (-reach, bar + t),
            (-reach, bar - t),
            (-t, bar - t),
        ),
    )


def moon(rng: np.random.Generator) -> Drawing:
    """Return a crescent: two arcs that meet at the horns."""
    half = rng.uniform(1.75, 2.5)
    outer = arc(np.pi - half, np.pi + half, count=32)
    horn_x, horn_y = outer[-1]
    # The inner edge is the arc through both horns and the point (inside, 0).
    inside = rng.uniform(-0.6, 0.0)
    chord = horn_x - inside
    radius = (chord**2 + horn_y**2) / (2 * chord)
    sweep = np.arcsin(np.clip(-horn_y / radius, -1.0, 1.0))
    if radius < chord:
        sweep = np.pi - sweep
    inner = arc(np.pi + sweep, np.pi - sweep, (radius, radius), 24)
    inner[:, 0] += inside + radius
    return (Path(np.concatenate([outer, inner[1:-1]])),)


def lightning(rng: np.random.Generator) -> Drawing:
    """Return a bolt of lightning: two slanted bars joined by a step, or a Z-like stroke."""
    if rng.random() < 0.2:
        out, level, gap = rng.uniform(0.3, 0.6), rng.uniform(-0.1, 0.2), rng.uniform(0.0, 0.35)
        return (line((0.3, -1), (-out, level + gap), (out, level - gap), (-0.3, 1)),)
    wide = rng.uniform(0.28, 0.5)
    step = rng.uniform(-0.12, 0.22)
    slant = rng.uniform(0.1, 0.4)
    return (
        polygon(
            (slant - wide * 0.3, -1),
            (slant + wide * 1.5, -1),
            (wide * 0.35, step - 0.2),
            (wide * 1.6, step - 0.2),
            (-wide - 0.1, 1),
            (-wide * 0.1, step + 0.12),
            (-wide * 1.4, step + 0.12),
        ),
    )


#: The detector's classes, in the order of its class ids and of its labels file.
DETECTED: dict[str, Figure] = {
    "circle": circle,
    "triangle": triangle,
    "rectangle": rectangle,
    "hexagon": hexagon,
    "star": star,
    "heart": heart,
    "arrow": arrow,
    "cross": cross,
    "moon": moon,
    "lightning": lightning,
}

#: How often each class is drawn in scenes, as weights: the more forms a figure has, the more often.
#: Drawn evenly, the arrow (line or block, any head, any angle) came out far below the others.
FREQUENCY = {"star": 1.5, "arrow": 3.0, "lightning": 1.5}
