"""A second held-out set, drawn by other means than the training pictures.

A model that only knows its own generator's hand shows it here. Nothing is shared with `shapes`,
`pens`, `grounds` and `draw`: other outlines, another renderer (Pillow; `draw` uses OpenCV), three
other styles. `glyphs` prints the symbols of a font, `vector` makes clip art with shadows and
colour gradients, `freehand` follows the outline with a pen that has mass, on photographed paper.
Boxes are those of the inked pixels.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageChops, ImageDraw, ImageFilter, ImageFont

from .draw import Scene
from .heldout_outlines import strokes

if TYPE_CHECKING:
    from .heldout_outlines import Rng, Stroke

Style = Literal["glyphs", "vector", "freehand"]
STYLES: tuple[Style, ...] = ("glyphs", "vector", "freehand")
#: In the order of the classifier's labels; the detector knows the first ten.
KINDS = (
    "circle", "triangle", "rectangle", "hexagon", "star", "heart", "arrow", "cross", "moon",
    "lightning", "cloud", "fish", "flower", "house", "smiley", "spiral", "sun", "tree",
)  # fmt: skip
IN_SCENES = 10
#: Filled, these would lose what makes them what they are.
_NEVER_FILLED = frozenset({"flower", "house", "smiley"})
#: Found by its name among the system's fonts (Debian package fonts-dejavu-core).
FONT = "DejaVuSans.ttf"
#: The symbols of each kind; where there are none, `glyphs` has no such picture.
_GLYPHS = {
    "circle": "●○◯⚫",
    "triangle": "▲△▼▽◀▶◁▷◢◣",
    "rectangle": "■□▬▭▮▯",
    "hexagon": "⬡⬢⎔",
    "star": "★☆✦✧✩✫✭✮✯✸",
    "heart": "♥♡❤",
    "arrow": "←↑→↓↗➔➙➜➡⇦⇨⬅⬆",
    "cross": "✚✖✕✝✞+\N{MULTIPLICATION SIGN}",
    "moon": "☾☽",
    "lightning": "⚡",
    "cloud": "☁",
    "flower": "✿❀",
    "house": "⌂",
    "smiley": "☺☻",
    "sun": "☀☼",
}
#: A tile is drawn this many times as large as it is pasted.
_FINE = 3


def chased(stroke: Stroke, size: float, rng: Rng) -> npt.NDArray[np.float64]:
    """Return the way of a pen with mass pulled along a stroke: it lags, cuts and overshoots."""
    corners = np.array(stroke) * size
    along = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(corners, axis=0), axis=1))])
    steps = int(along[-1] / size * rng.uniform(70, 130)) + 10
    pull, drag = rng.uniform(0.15, 0.35), rng.uniform(0.35, 0.55)
    pen, speed, tremor = corners[0].copy(), np.zeros(2), np.zeros(2)
    way = [pen.copy()]
    end = along[-1] * (1 + rng.uniform(0, 0.02))
    for step in range(steps + 8):
        goal = min(end * step / steps, along[-1])
        target = np.array([np.interp(goal, along, corners[:, axis]) for axis in (0, 1)])
        tremor = 0.96 * tremor + rng.normal(0, 0.0022 * size, 2)
        speed += pull * (target + tremor - pen) - drag * speed
        pen = pen + speed
        way.append(pen.copy())
    return np.array(way)


def stamped(way: npt.NDArray[np.float64], width: float, draw: ImageDraw.ImageDraw) -> None:
    """Draw the way as overlapping round dabs, thinner where the pen is quick."""
    quick = np.linalg.norm(np.diff(way, axis=0), axis=1)
    for start, stop, pace in zip(way[:-1], way[1:], quick, strict=True):
        radius = width / 2 * (1.1 - 0.3 * pace / (quick.max() + 1e-9))
        for t in np.linspace(0, 1, max(2, int(pace / max(radius, 1)) * 3)):
            x, y = start + (stop - start) * t
            draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=255)


def _glyph(kind: int, size: int, rng: Rng) -> Image.Image:
    font = ImageFont.truetype(FONT, int(size * _FINE * 1.2))
    tile = Image.new("L", (size * _FINE * 2, size * _FINE * 2))
    letter = str(rng.choice(list(_GLYPHS[KINDS[kind]])))
    ImageDraw.Draw(tile).text((size * _FINE * 0.4, size * _FINE * 0.2), letter, 255, font)
    return tile.rotate(float(rng.choice([0, 0, 0, rng.uniform(-25, 25)])), expand=True)


def _clip_art(kind: int, size: int, rng: Rng) -> Image.Image:
    side = size * _FINE
    tile = Image.new("L", (side * 2, side * 2))
    pen = ImageDraw.Draw(tile)
    filled = rng.random() < 0.55 and KINDS[kind] not in _NEVER_FILLED
    width = max(_FINE, int(side * rng.uniform(0.02, 0.08)))
    for stroke in strokes(KINDS[kind], rng):
        corners = [(x * side + side / 2, y * side + side / 2) for x, y in stroke]
        if filled and stroke[0] == stroke[-1]:
            pen.polygon(corners, fill=255)
        else:
            pen.line(corners, fill=255, width=width, joint="curve")
    return tile.rotate(float(rng.uniform(-30, 30)), Image.Resampling.BICUBIC)


def _by_hand(kind: int, size: int, rng: Rng) -> Image.Image:
    side = size * _FINE
    tile = Image.new("L", (side * 2, side * 2))
    pen = ImageDraw.Draw(tile)
    width = max(_FINE * 1.2, side * rng.uniform(0.018, 0.06))
    turn = rng.normal(0, 0.15)
    spin = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    for stroke in strokes(KINDS[kind], rng):
        way = (chased(stroke, side, rng) - side / 2) @ spin + side
        stamped(way, width, pen)
    return tile


def _tile(style: Style, kind: int, size: int, rng: Rng) -> Image.Image | None:
    """Return the figure's ink as a mask cut to its box, or None if it came out empty."""
    make = {"glyphs": _glyph, "vector": _clip_art, "freehand": _by_hand}[style]
    tile = make(kind, size, rng)
    box = tile.getbbox()
    if box is None:
        return None
    tile = tile.crop(box)
    scale = size / max(tile.size)
    wanted = (max(2, int(tile.width * scale)), max(2, int(tile.height * scale)))
    return tile.resize(wanted, Image.Resampling.LANCZOS)


def _page(style: Style, size: tuple[int, int], rng: Rng) -> Image.Image:
    """Return an empty page: white or coloured for print, a lit sheet for the pen."""
    if style == "glyphs" and rng.random() < 0.6:
        return Image.new("RGB", size, "white")
    if style != "freehand":
        ends = [Image.new("RGB", size, tuple(rng.integers(120, 256, 3).tolist())) for _ in "ab"]
        fade = Image.linear_gradient("L").rotate(float(rng.choice([0, 90, 180]))).resize(size)
        return Image.composite(ends[0], ends[1], fade)
    page = Image.new("RGB", size, tuple((rng.integers(205, 250) - np.array([0, 3, 12])).tolist()))
    pen = ImageDraw.Draw(page)
    step = int(rng.integers(18, 34))
    if rng.random() < 0.6:
        for y in range(step, size[1], step):
            pen.line((0, y, size[0], y), fill=(165, 185, 215))
    if rng.random() < 0.35:
        for x in range(step, size[0], step):
            pen.line((x, 0, x, size[1]), fill=(165, 185, 215))
    return page


def _photographed(page: Image.Image, rng: Rng) -> Image.Image:
    """Return the page as a phone sees it: light falling off, soft, noisy."""
    light = Image.radial_gradient("L").resize((page.width * 2, page.height * 2))
    left, top = int(rng.integers(page.width)), int(rng.integers(page.height))
    light = light.crop((left, top, left + page.width, top + page.height))
    dark = light.point(lambda v: int(255 - v * 0.45))
    page = ImageChops.multiply(page, Image.merge("RGB", [dark] * 3))
    page = page.filter(ImageFilter.GaussianBlur(float(rng.uniform(0.3, 1.2))))
    noise = rng.normal(0, rng.uniform(1, 6), (page.height, page.width, 1))
    return Image.fromarray(np.clip(np.asarray(page) + noise, 0, 255).astype(np.uint8))


def _ink(style: Style, rng: Rng) -> tuple[int, int, int]:
    choices = {
        "glyphs": [(0, 0, 0), (0, 0, 0), (170, 20, 30), (20, 40, 140)],
        "vector": [(231, 76, 60), (52, 73, 94), (41, 128, 185), (39, 120, 60), (142, 68, 173)],
        "freehand": [(25, 25, 30), (30, 45, 130), (160, 30, 35), (60, 60, 62), (20, 100, 60)],
    }[style]
    return choices[int(rng.integers(len(choices)))]


def _spots(size: tuple[int, int], rng: Rng) -> list[tuple[int, int, int, int]]:
    """Return free places (left, top, width, height) for figures: cells of an uneven grid."""
    columns, rows = int(rng.integers(1, 5)), int(rng.integers(1, 4))
    wide, tall = size[0] / columns, size[1] / rows
    cells = [(c, r) for c in range(columns) for r in range(rows) if rng.random() < 0.75]
    return [(int(c * wide), int(r * tall), int(wide), int(tall)) for c, r in cells]


def scene(style: Style, seed: int, side: int = 256) -> Scene:
    """Return the page of a style that a seed names, squeezed to side x side with its truth."""
    rng = np.random.default_rng([8101, STYLES.index(style), seed])
    size = (int(rng.integers(420, 760)), int(rng.integers(380, 640)))
    page = _page(style, size, rng)
    boxes, classes = [], []
    for left, top, wide, tall in _spots(size, rng):
        kind = int(rng.integers(IN_SCENES))
        length = int(min(wide, tall) * rng.uniform(0.45, 0.88))
        tile = _tile(style, kind, max(length, 28), rng)
        if tile is None:
            continue
        x = left + int(rng.uniform(0, max(wide - tile.width, 1)))
        y = top + int(rng.uniform(0, max(tall - tile.height, 1)))
        if style == "vector" and rng.random() < 0.4:
            page.paste((120, 120, 120), (x + 4, y + 5), tile.filter(ImageFilter.GaussianBlur(3)))
        page.paste(_ink(style, rng), (x, y), tile)
        box = tile.point(lambda v: 255 if v >= 64 else 0).getbbox()
        if box is not None:
            boxes.append((y + box[1], x + box[0], y + box[3], x + box[2]))
            classes.append(kind)
    if style == "freehand":
        page = _photographed(page, rng)
    shares = np.array(boxes, np.float32).reshape(-1, 4)
    shares = np.clip(shares / np.array([size[1], size[0]] * 2, np.float32), 0, 1)
    return Scene(_kept(page, side, rng), shares, np.array(classes, np.int64))


def single(style: Style, seed: int, side: int = 96) -> tuple[npt.NDArray[np.uint8], int]:
    """Return a picture of one figure and the index of its label in `KINDS`."""
    rng = np.random.default_rng([8102, STYLES.index(style), seed])
    drawable = [k for k in range(len(KINDS)) if style != "glyphs" or KINDS[k] in _GLYPHS]
    kind = drawable[int(rng.integers(len(drawable)))]
    size = (int(rng.integers(140, 320)), int(rng.integers(140, 320)))
    page = _page(style, size, rng)
    tile = _tile(style, kind, int(min(size) * rng.uniform(0.5, 0.9)), rng)
    if tile is not None:
        x = int(rng.uniform(0, max(size[0] - tile.width, 1)))
        y = int(rng.uniform(0, max(size[1] - tile.height, 1)))
        page.paste(_ink(style, rng), (x, y), tile)
    if style == "freehand":
        page = _photographed(page, rng)
    return _kept(page, side, rng), kind


def _kept(page: Image.Image, side: int, rng: Rng) -> npt.NDArray[np.uint8]:
    """Return the page saved as JPEG, read again and squeezed."""
    file = io.BytesIO()
    page.save(file, "JPEG", quality=int(rng.integers(55, 95)))
    squeezed = Image.open(file).resize((side, side), Image.Resampling.BILINEAR)
    return np.asarray(squeezed, np.uint8)
