"""What the classifier knows besides the detector's figures: small drawings of several strokes.

As in `shapes`, every call draws anew from the generator that is passed in.
"""

from __future__ import annotations

import numpy as np

from .outlines import Drawing, Path, arc, line, oval, polygon, rotation
from .shapes import DETECTED, Figure


def cloud(rng: np.random.Generator) -> Drawing:
    """Return a cloud: bumps around an ellipse, at times with a flat base."""
    bumps = int(rng.integers(5, 9))
    angle = np.linspace(0, 2 * np.pi, bumps * 12, endpoint=False) + rng.uniform(0, 1)
    swell = 1 + rng.uniform(0.15, 0.35) * np.abs(np.sin(angle * bumps / 2))
    points = np.stack([np.cos(angle) * swell, np.sin(angle) * swell * rng.uniform(0.5, 0.7)], 1)
    if rng.random() < 0.5:
        points[:, 1] = np.minimum(points[:, 1], rng.uniform(0.3, 0.5))
    return (Path(points),)


def fish(rng: np.random.Generator) -> Drawing:
    """Return a fish that looks to the left: a lens, a tail and mostly an eye."""
    deep, tail = rng.uniform(0.4, 0.65), rng.uniform(0.25, 0.5)
    along = np.linspace(0.45, -1, 20)
    edge = deep * np.sin(np.pi * (along - 0.62) / 1.62 * -1) ** rng.uniform(0.6, 1.0)
    upper = np.stack([along, -edge], axis=1)
    body = np.concatenate([[[1.0, -tail]], upper, upper[::-1] * (1, -1), [[1.0, tail]]])
    eye = oval(0.06, 0.06, (-0.65, -0.1), 10)
    gill = Path(arc(-1, 1, (0.2, deep * 0.7), 8) - np.array([0.5, 0.0]), closed=False)
    chosen = [Path(body)]
    if rng.random() < 0.85:
        chosen.append(eye)
    if rng.random() < 0.3:
        chosen.append(gill)
    return tuple(chosen)


def flower(rng: np.random.Generator) -> Drawing:
    """Return a flower: round petals around a disc, at times on a stem."""
    petals = int(rng.integers(5, 8))
    disc = rng.uniform(0.2, 0.32)
    centre = oval(disc, disc, (0.0, 0.0))
    if rng.random() < 0.5:
        angle = np.linspace(0, 2 * np.pi, petals * 12, endpoint=False)
        reach = disc + (0.9 - disc) * np.abs(np.sin(angle * petals / 2)) ** 0.6
        ring = [Path(np.stack([np.cos(angle) * reach, np.sin(angle) * reach], axis=1))]
    else:
        size = (1 - disc) / 2
        turns = np.arange(petals) * 2 * np.pi / petals
        wide = min(size, 1.9 * (disc + size) * np.sin(np.pi / petals) / 2 * 1.1)
        petal = oval(size, wide, (disc + size, 0.0), 18).points
        ring = [Path(petal @ rotation(float(turn))) for turn in turns]
    stem = line((0, 0.95), (rng.normal(0, 0.08), rng.uniform(1.9, 2.6)))
    return (*ring, centre, stem) if rng.random() < 0.45 else (*ring, centre)


def house(rng: np.random.Generator) -> Drawing:
    """Return a house: walls and a pointed roof, mostly with a door and a window."""
    wide, eave = rng.uniform(0.65, 0.85), rng.uniform(-0.35, 0.0)
    over = wide + rng.uniform(0.0, 0.15)
    parts = [
        polygon((-wide, eave), (wide, eave), (wide, 1), (-wide, 1)),
        polygon((-over, eave), (0, -1), (over, eave)),
    ]
    door = rng.uniform(-0.5, 0.3) * wide
    if rng.random() < 0.8:
        parts.append(polygon((door, 0.4), (door + 0.3, 0.4), (door + 0.3, 1), (door, 1)))
    if rng.random() < 0.6:
        parts.append(_window(-door * 0.8 + 0.1, rng))
    return tuple(parts)


def _window(x: float, rng: np.random.Generator) -> Path:
    y, half = rng.uniform(0.2, 0.3), rng.uniform(0.1, 0.15)
    return polygon(
        (x - half, y - half), (x + half, y - half), (x + half, y + half), (x - half, y + half)
    )


def smiley(rng: np.random.Generator) -> Drawing:
    """Return a face: a circle, two eyes and a mouth, mostly a smile."""
    size, apart = rng.uniform(0.05, 0.13), rng.uniform(0.25, 0.42)
    tall = size * rng.uniform(1.0, 2.0)
    height = rng.uniform(-0.35, -0.15)
    eyes = [oval(size, tall, (side * apart, height), 12) for side in (-1, 1)]
    half = rng.uniform(0.6, 1.3)
    mouth = arc(np.pi / 2 - half, np.pi / 2 + half, (rng.uniform(0.4, 0.65), 0.5), 16)
    if rng.random() < 0.15:
        mouth = np.array([0.0, 0.9]) + mouth * (1, -1)
    face = oval(1.0, rng.uniform(0.85, 1.0), (0.0, 0.0), 40)
    return (face, *eyes, Path(mouth, closed=bool(rng.random() < 0.2)))


def spiral(rng: np.random.Generator) -> Drawing:
    """Return a spiral of two to four turns, either way round."""
    turns = rng.uniform(2.0, 4.0)
    angle = np.linspace(0.3, turns * 2 * np.pi, 100)
    reach = (angle / angle[-1]) ** rng.uniform(0.8, 1.2)
    points = np.stack([np.cos(angle) * reach, np.sin(angle) * reach], axis=1)
    return (Path(points * (1, rng.choice([-1.0, 1.0])), closed=False),)


def sun(rng: np.random.Generator) -> Drawing:
    """Return a sun: a disc with separate rays, straight or pointed."""
    rays, size = int(rng.integers(7, 15)), rng.uniform(0.4, 0.6)
    start = size + rng.uniform(0.05, 0.18)
    pointed = rng.random() < 0.25
    half = np.pi / rays * 0.7 * start
    paths = [oval(size, size, (0.0, 0.0), 40)]
    for turn in np.arange(rays) * 2 * np.pi / rays:
        ray = np.array([[start, -half], [1, 0], [start, half]] if pointed else [[start, 0], [1, 0]])
        paths.append(Path(ray @ rotation(float(turn)), closed=pointed))
    return tuple(paths)


def tree(rng: np.random.Generator) -> Drawing:
    """Return a tree: a trunk under a round crown or under the tiers of a fir."""
    half = rng.uniform(0.08, 0.2)
    if rng.random() < 0.5:
        crown = cloud(rng)[0].points
        crown = crown / np.abs(crown).max(axis=0) * (rng.uniform(0.6, 0.8), 0.6)
        crown[:, 1] -= 0.4
        trunk = polygon((-half, -0.05), (half, -0.05), (half, 1), (-half, 1))
        return (trunk, Path(crown))
    tiers = int(rng.integers(2, 4))
    height = 1.6 / tiers
    paths = [polygon((-half, 0.6), (half, 0.6), (half, 1), (-half, 1))]
    for tier in range(tiers):
        wide = 0.7 * (tier + 1.5) / (tiers + 0.5)
        base = -1 + height * (tier + 1)
        paths.append(polygon((-wide, base), (0, base - height * 1.25), (wide, base)))
    return tuple(paths)


#: What the classifier knows besides: figures of several strokes, one to a picture.
SKETCHED: dict[str, Figure] = {
    "cloud": cloud,
    "fish": fish,
    "flower": flower,
    "house": house,
    "smiley": smiley,
    "spiral": spiral,
    "sun": sun,
    "tree": tree,
}

#: The classifier's classes, in the order of its output and of its labels file.
CLASSIFIED: dict[str, Figure] = DETECTED | SKETCHED
