"""The outlines of the second held-out set: other constructions than those of `shapes`.

Geometry in the unit square, y down. A stroke that ends where it starts is closed.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

Rng = np.random.Generator
Stroke = list[tuple[float, float]]


def _bezier(points: Sequence[tuple[float, float]], count: int = 24) -> Stroke:
    """Return points on a cubic Bezier curve."""
    p = np.array(points)
    t = np.linspace(0, 1, count)[:, None]
    curve = (
        (1 - t) ** 3 * p[0] + 3 * (1 - t) ** 2 * t * p[1] + 3 * (1 - t) * t**2 * p[2] + t**3 * p[3]
    )
    return [(float(x), float(y)) for x, y in curve]


def _ring(corners: int, turn: float, radii: Sequence[float] = (0.5,)) -> Stroke:
    angles = [turn + 2 * np.pi * k / corners for k in range(corners)]
    return [
        (0.5 + radii[k % len(radii)] * np.cos(a), 0.5 + radii[k % len(radii)] * np.sin(a))
        for k, a in enumerate(angles)
    ]


def _heart(rng: Rng) -> Stroke:
    dip, bulge, tip = rng.uniform(0.2, 0.3), rng.uniform(0.0, 0.12), rng.uniform(0.9, 1.0)
    right = _bezier([(0.5, dip), (0.62, -bulge), (1.1, 0.02), (0.96, 0.42)])
    right += _bezier([(0.96, 0.42), (0.88, 0.62), (0.64, 0.8), (0.5, tip)])
    return right + [(1 - x, y) for x, y in reversed(right)]


def _moon(rng: Rng) -> Stroke:
    bite = rng.uniform(0.3, 0.75)
    outer = _bezier([(0.7, 0.0), (-0.05, 0.02), (-0.05, 0.98), (0.7, 1.0)])
    inner = _bezier([(0.7, 1.0), (bite - 0.25, 0.85), (bite - 0.25, 0.15), (0.7, 0.0)])
    return outer + inner


def _arrow(rng: Rng) -> list[Stroke]:
    y = 0.5
    if rng.random() < 0.5:
        head = rng.uniform(0.15, 0.3)
        return [[(0, y), (1, y)], [(1 - head, y - head * 0.8), (1, y), (1 - head, y + head * 0.8)]]
    thick, neck, wing = rng.uniform(0.1, 0.18), rng.uniform(0.5, 0.7), rng.uniform(0.28, 0.42)
    upper = [(0, y - thick), (neck, y - thick), (neck, y - wing), (1, y)]
    return [[*upper, (neck, y + wing), (neck, y + thick), (0, y + thick), (0, y - thick)]]


def _cross(rng: Rng) -> list[Stroke]:
    bar = rng.choice([0.5, 0.5, 0.35])
    if rng.random() < 0.6:
        return [[(0.5, 0), (0.5, 1)], [(0.1, bar), (0.9, bar)]]
    t = rng.uniform(0.1, 0.17)
    right = [(0.5 + t, 0), (0.5 + t, bar - t), (0.95, bar - t), (0.95, bar + t), (0.5 + t, bar + t),
             (0.5 + t, 1)]  # fmt: skip
    outline = right + [(1 - x, y) for x, y in reversed(right)]
    return [[*outline, outline[0]]]


def _oval(x: float, y: float, across: float, down: float) -> Stroke:
    """Return a closed ellipse about (x, y)."""
    angles = np.linspace(0, 2 * np.pi, 33)
    return [(x + across / 2 * float(np.cos(a)), y + down / 2 * float(np.sin(a))) for a in angles]


def _closed(*corners: tuple[float, float]) -> Stroke:
    return [*corners, corners[0]]


def _cloud(rng: Rng) -> Stroke:
    ends = [(0.1, 0.8), (0.05, 0.5), (0.28, 0.32), (0.6, 0.25), (0.85, 0.42), (0.9, 0.8)]
    outline: Stroke = []
    for (x0, y0), (x1, y1) in itertools.pairwise(ends):
        puff = rng.uniform(0.5, 0.9)
        out_x, out_y = (y1 - y0) * puff, (x0 - x1) * puff
        outline += _bezier(
            [(x0, y0), (x0 + out_x, y0 + out_y), (x1 + out_x, y1 + out_y), (x1, y1)], 10
        )
    return [*outline, outline[0]]


def _fish(rng: Rng) -> list[Stroke]:
    belly = rng.uniform(0.8, 1.1)
    back = _bezier([(0.0, 0.5), (0.25, 1 - belly), (0.55, 1 - belly), (0.75, 0.48)])
    under = _bezier([(0.75, 0.52), (0.55, belly), (0.25, belly), (0.0, 0.5)])
    body = [*back, (1.0, 0.25), (0.95, 0.5), (1.0, 0.75), *under]
    return [body, _oval(0.18, 0.43, 0.05, 0.05)]


def _flower(rng: Rng) -> list[Stroke]:
    count, size = int(rng.integers(5, 8)), rng.uniform(0.2, 0.26)
    centres = [(0.5 + 0.2 * np.cos(a), 0.35 + 0.2 * np.sin(a))
               for a in np.arange(count) * 2 * np.pi / count]  # fmt: skip
    petals = [_oval(float(x), float(y), size, size) for x, y in centres]
    leaf = [*_bezier([(0.5, 0.9), (0.55, 0.7), (0.7, 0.7), (0.75, 0.68)]), (0.5, 0.9)]
    return [*petals, _oval(0.5, 0.35, 0.18, 0.18), [(0.5, 0.6), (0.5, 1.0)], leaf]


def _house(rng: Rng) -> list[Stroke]:
    eave, door = rng.uniform(0.35, 0.5), rng.uniform(0.3, 0.6)
    front = _closed((0.1, 1.0), (0.1, eave), (0.5, 0.0), (0.9, eave), (0.9, 1.0))
    entrance = [(door, 1.0), (door, 0.68), (door + 0.18, 0.68), (door + 0.18, 1.0)]
    return [front, [(0.1, eave), (0.9, eave)], entrance]


def _smiley(rng: Rng) -> list[Stroke]:
    eye, grin = rng.uniform(0.06, 0.1), rng.uniform(0.78, 0.9)
    mouth = _bezier([(0.25, 0.6), (0.35, grin), (0.65, grin), (0.75, 0.6)])
    return [_oval(0.5, 0.5, 1, 1), _oval(0.34, 0.36, eye, eye), _oval(0.66, 0.36, eye, eye), mouth]


def _spiral(rng: Rng) -> list[Stroke]:
    angles = np.linspace(0, 2 * np.pi * rng.uniform(2.2, 3.5), 90)
    reach = 0.5 * angles / angles[-1]
    return [[(0.5 + float(r * np.cos(a)), 0.5 - float(r * np.sin(a)))
             for r, a in zip(reach, angles, strict=True)]]  # fmt: skip


def _sun(rng: Rng) -> list[Stroke]:
    count, size = int(rng.integers(8, 13)), rng.uniform(0.22, 0.28)
    rays = []
    for angle in np.arange(count) * 2 * np.pi / count:
        way = np.array([np.cos(angle), np.sin(angle)])
        start, stop = 0.5 + way * (size + 0.06), 0.5 + way * rng.uniform(0.43, 0.5)
        rays.append([(float(start[0]), float(start[1])), (float(stop[0]), float(stop[1]))])
    return [_oval(0.5, 0.5, 2 * size, 2 * size), *rays]


def _tree(rng: Rng) -> list[Stroke]:
    if rng.random() < 0.5:
        crown = _oval(0.5, 0.33, rng.uniform(0.6, 0.8), 0.66)
        return [crown, [(0.44, 0.66), (0.43, 1.0)], [(0.56, 0.66), (0.57, 1.0)]]
    fir = _closed((0.5, 0.0), (0.72, 0.3), (0.6, 0.3), (0.82, 0.58), (0.66, 0.58), (0.92, 0.86),
                  (0.08, 0.86), (0.34, 0.58), (0.18, 0.58), (0.4, 0.3), (0.28, 0.3))  # fmt: skip
    return [fir, _closed((0.44, 0.86), (0.56, 0.86), (0.56, 1.0), (0.44, 1.0))]


def _one(kind: str, rng: Rng) -> Stroke:
    """Return the outline of a figure that is one closed stroke."""
    wide, tall = rng.uniform(0.6, 1.0, 2)
    jag = rng.uniform(0.08, 0.16)
    bolt = [(0.62, 0.0), (0.16, 0.56), (0.47, 0.52 + jag / 2), (0.34, 1.0), (0.86, 0.4),
            (0.54, 0.42), (0.8 - jag, 0.02)]  # fmt: skip
    outlines: dict[str, Callable[[], Stroke]] = {
        "circle": lambda: _ring(48, rng.uniform(0, 6)),
        "triangle": lambda: [(rng.uniform(0.0, 1.0), 0.05), (1.0, 0.95), (0.0, 0.95)],
        "rectangle": lambda: [(0.0, 0.0), (wide, 0.0), (wide, tall), (0.0, tall)],
        "hexagon": lambda: _ring(6, 0.0),
        "star": lambda: _ring(10, -np.pi / 2, (0.5, rng.uniform(0.18, 0.26))),
        "heart": lambda: _heart(rng),
        "moon": lambda: _moon(rng),
        "lightning": lambda: bolt,
        "cloud": lambda: _cloud(rng),
    }
    outline = outlines[kind]()
    return [*outline, outline[0]]


_SEVERAL = {
    "arrow": _arrow,
    "cross": _cross,
    "fish": _fish,
    "flower": _flower,
    "house": _house,
    "smiley": _smiley,
    "spiral": _spiral,
    "sun": _sun,
    "tree": _tree,
}


def strokes(kind: str, rng: Rng) -> list[Stroke]:
    """Return the strokes of a figure drawn anew."""
    return _SEVERAL[kind](rng) if kind in _SEVERAL else [_one(kind, rng)]
