"""What figures are drawn on, and what the camera does to the whole: paper, board, light, blur.

`ground` makes a background, `degrade` spoils a finished picture. Neither draws a figure, and
`degrade` moves no pixel by more than a blur does, so boxes stay true.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from collections.abc import Callable

    from .pens import Canvas

Picture = npt.NDArray[np.uint8]
Homography = npt.NDArray[np.float64]


def _resized(picture: npt.ArrayLike, size: tuple[int, int], method: int) -> Canvas:
    """Return a float picture resized to (width, height)."""
    return np.asarray(cv2.resize(np.asarray(picture), size, interpolation=method), np.float32)


def _cloudy(height: int, width: int, cells: int, rng: np.random.Generator) -> Canvas:
    """Return smooth noise in about -1 to 1, shape (height, width, 1)."""
    coarse = rng.uniform(-1, 1, (cells, cells)).astype(np.float32)
    return _resized(coarse, (width, height), cv2.INTER_CUBIC)[..., None]


def _soft_spot(height: int, width: int, corners: npt.NDArray[np.float64], blur: float) -> Canvas:
    """Return a polygon with soft edges, 1 inside and 0 outside, shape (height, width, 1).

    Corners are shares of the picture and `blur` a share of its width. It is drawn at a quarter of
    the size: a wide blur at full size would cost more than the rest of a scene.
    """
    small = np.zeros((height // 4 + 1, width // 4 + 1), np.float32)
    scaled = corners * (small.shape[1], small.shape[0])
    cv2.fillPoly(small, [scaled.astype(np.int32)], 1.0)
    soft = cv2.GaussianBlur(small, (0, 0), max(0.5, blur * small.shape[1]))
    return _resized(soft, (width, height), cv2.INTER_LINEAR)[..., None]


def _flat(height: int, width: int, colour: npt.ArrayLike) -> Canvas:
    return np.full((height, width, 3), np.asarray(colour, np.float32), np.float32)


def _screen(height: int, width: int, rng: np.random.Generator) -> Canvas:
    """Return what a paint program starts with: mostly plain white."""
    if rng.random() < 0.6:
        return _flat(height, width, (255, 255, 255))
    return _flat(height, width, rng.uniform(0, 255, 3))


def _paper(height: int, width: int, rng: np.random.Generator) -> Canvas:
    """Return a sheet in uneven light, plain, ruled or squared."""
    tint = rng.uniform(165, 250) - rng.uniform(0, 25, 3) * (0.3, 0.5, 1.0)
    canvas = _flat(height, width, tint)
    kind = rng.random()
    if kind < 0.45:
        step = int(rng.uniform(0.03, 0.1) * max(height, width)) + 4
        shade = tint - rng.uniform(15, 90) * rng.uniform(0.2, 1.0, 3)
        colour = (float(shade[0]), float(shade[1]), float(shade[2]))
        for y in range(int(rng.integers(step)), height, step):
            cv2.line(canvas, (0, y), (width, y), colour, 1, cv2.LINE_AA)
        if kind < 0.22:
            for x in range(int(rng.integers(step)), width, step):
                cv2.line(canvas, (x, 0), (x, height), colour, 1, cv2.LINE_AA)
        elif rng.random() < 0.4:
            x = int(rng.uniform(0.05, 0.2) * width)
            cv2.line(canvas, (x, 0), (x, height), (220, 90, 90), 1, cv2.LINE_AA)
    return canvas


def _board(height: int, width: int, rng: np.random.Generator) -> Canvas:
    """Return a whiteboard with glare, or a smeared blackboard."""
    if rng.random() < 0.55:
        canvas = _flat(height, width, rng.uniform(190, 245) + rng.uniform(-8, 8, 3))
        glare = rng.uniform(0, 1, 2) + rng.normal(0, 0.12, (5, 2))
        return canvas + _soft_spot(height, width, glare, 0.08) * np.float32(60)
    base = rng.choice([(35, 60, 45), (40, 40, 42), (25, 40, 70)]) + rng.uniform(-15, 15, 3)
    smear = _cloudy(height, width, int(rng.integers(3, 12)), rng)
    smear = np.maximum(smear, 0) * np.float32(rng.uniform(10, 45))
    return _flat(height, width, base) + np.asarray(smear, np.float32)


def _gradient(height: int, width: int, rng: np.random.Generator) -> Canvas:
    """Return a smooth change between two colours in any direction."""
    ends = rng.uniform(0, 255, (2, 3)).astype(np.float32)
    angle = rng.uniform(0, 2 * np.pi)
    y, x = np.linspace(-1, 1, height)[:, None], np.linspace(-1, 1, width)[None]
    mix = ((x * np.cos(angle) + y * np.sin(angle)) / 2.83 + 0.5).astype(np.float32)[..., None]
    return np.asarray(ends[0] * (1 - mix) + ends[1] * mix, np.float32)


def _texture(height: int, width: int, rng: np.random.Generator) -> Canvas:
    """Return wood, cloth, stone or the like: noise of several sizes around one colour."""
    canvas = _flat(height, width, rng.uniform(20, 235, 3))
    stretch = rng.uniform(0.15, 1.0, 2)
    for cells in (4, 12, 40):
        rows, columns = max(2, int(cells * stretch[0])), max(2, int(cells * stretch[1]))
        coarse = rng.uniform(-1, 1, (rows, columns, 1)).astype(np.float32) * rng.uniform(3, 25)
        canvas += _resized(coarse, (width, height), cv2.INTER_LINEAR)[..., None]
    return canvas


def _clutter(height: int, width: int, rng: np.random.Generator) -> Canvas:
    """Return something like a photograph out of focus: soft blobs of many colours."""
    small = _texture(height // 4, width // 4, rng)
    for _ in range(int(rng.integers(5, 25))):
        corners = rng.normal(0, 0.15, (int(rng.integers(5, 9)), 2)) + rng.uniform(0, 1, 2)
        blob = (corners * (width / 4, height / 4)).astype(np.int32)
        cv2.fillPoly(small, [blob], rng.uniform(0, 255, 3).tolist())
    soft = cv2.GaussianBlur(small, (0, 0), rng.uniform(0.012, 0.04) * max(height, width) / 4)
    return _resized(soft, (width, height), cv2.INTER_LINEAR)


_GROUNDS: tuple[tuple[float, Callable[[int, int, np.random.Generator], Canvas]], ...] = (
    (0.22, _screen),
    (0.34, _paper),
    (0.14, _board),
    (0.1, _gradient),
    (0.1, _texture),
    (0.1, _clutter),
)


def ground(height: int, width: int, rng: np.random.Generator) -> Canvas:
    """Return a background, float32 RGB of shape (height, width, 3), about 0 to 255."""
    shares = [share for share, _ in _GROUNDS]
    chosen = int(rng.choice(len(_GROUNDS), p=np.array(shares) / sum(shares)))
    return _GROUNDS[chosen][1](height, width, rng)


def on_a_table(sheet: Canvas, rng: np.random.Generator) -> tuple[Canvas, Homography]:
    """Lay a sheet in perspective on another surface, as a photograph of it shows it.

    Returns:
        The picture, of the sheet's size, and the 3x3 map from sheet pixels to its pixels.
    """
    height, width = sheet.shape[:2]
    corners = np.array([(0, 0), (width, 0), (width, height), (0, height)], np.float32)
    inset = rng.uniform(-0.02, 0.16, (4, 2)) * ((1, 1), (-1, 1), (-1, -1), (1, -1))
    moved = (corners + inset * (width, height)).astype(np.float32)
    mapping = cv2.getPerspectiveTransform(corners, moved)
    table = _texture(height, width, rng)
    laid = cv2.warpPerspective(sheet, mapping, (width, height), flags=cv2.INTER_LINEAR)
    cover = cv2.warpPerspective(np.ones((height, width), np.float32), mapping, (width, height))
    shadow = cv2.blur(cover, (9, 9))[..., None] * np.float32(rng.uniform(0, 0.4))
    table *= 1 - shadow
    return table + (laid - table) * cover[..., None], np.asarray(mapping, np.float64)


def _light(canvas: Canvas, rng: np.random.Generator) -> None:
    """Shade the picture unevenly and, at times, lay a soft-edged shadow over part of it."""
    height, width = canvas.shape[:2]
    canvas *= 1 + _cloudy(height, width, int(rng.integers(2, 4)), rng) * np.float32(
        rng.uniform(0, 0.3)
    )
    if rng.random() < 0.25:
        edge = rng.uniform(-0.3, 1.3, (int(rng.integers(3, 6)), 2))
        shade = _soft_spot(height, width, edge, rng.uniform(0.005, 0.08))
        canvas *= 1 - shade * np.float32(rng.uniform(0.15, 0.55))
    canvas *= rng.uniform(0.88, 1.08, 3).astype(np.float32)


def _soften(canvas: Canvas, rng: np.random.Generator) -> Canvas:
    kind = rng.random()
    if kind < 0.3:
        blurred = cv2.GaussianBlur(canvas, (0, 0), rng.uniform(0.4, 1.6))
        return np.asarray(blurred, np.float32)
    if kind < 0.4:
        length = int(rng.integers(3, 7))
        kernel = np.zeros((length, length), np.float32)
        end = (int(rng.integers(length)), length - 1)
        cv2.line(kernel, (length - 1 - end[0], 0), end, 1.0, 1)
        return np.asarray(cv2.filter2D(canvas, -1, kernel / kernel.sum()), np.float32)
    return canvas


def degrade(canvas: Canvas, rng: np.random.Generator) -> Picture:
    """Return the picture as a camera or a file format would keep it; geometry is unchanged."""
    if rng.random() < 0.7:
        _light(canvas, rng)
    canvas = _soften(canvas, rng)
    if rng.random() < 0.6:
        noise: Canvas = np.empty(canvas.shape[:2], np.float32)
        cv2.setRNGSeed(int(rng.integers(1 << 30)))
        cv2.randn(noise, np.zeros(1), np.array([rng.uniform(1, 11)]))
        canvas = canvas + noise[..., None]
    gain, lift = rng.uniform(0.75, 1.15), rng.uniform(-15, 20)
    # The lower bound keeps convertScaleAbs from folding negative values back up.
    picture = cv2.convertScaleAbs(np.maximum(canvas, -lift / gain), alpha=gain, beta=lift)
    if rng.random() < 0.5:
        quality = [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(25, 95))]
        _, file = cv2.imencode(".jpg", picture, quality)
        picture = np.asarray(cv2.imdecode(file, cv2.IMREAD_COLOR))
    return np.asarray(picture, np.uint8)
