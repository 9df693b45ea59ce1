"""Make the pictures that a newcomer sends first, with their truth beside them.

Run `uv run python model-server/training/examples.py`. Each is composed by hand below (what is drawn
where, with which pen) and drawn by the renderer of the held-out set, so that none is a picture that
the models learnt from. NAME.json beside NAME.jpg says what is on it; a test compares.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from training.heldout import chased, stamped
from training.heldout_outlines import Rng, strokes

TARGET = Path(__file__).parents[2] / "deploy" / "examples" / "images"
SIZE = (1280, 960)
INK = {
    "ballpoint": (38, 58, 140),
    "pencil": (88, 88, 92),
    "felt": (30, 30, 34),
    "red": (190, 40, 45),
    "green": (30, 120, 70),
}

Colour = tuple[int, int, int]


@dataclass(frozen=True)
class Figure:
    """One figure of a composition.

    Attributes:
        label: As in the detector's labels.
        at: Left and top in pixels of the page.
        size: Length of its unit square in pixels.
        ink: Name in `INK`.
        width: Of the pen, in pixels.
        filled: Whether it is printed, filled and exact, rather than drawn by hand.
    """

    label: str
    at: tuple[int, int]
    size: int
    ink: str
    width: float = 6.0
    filled: bool = False


@dataclass(frozen=True)
class Note:
    """A line of writing, which is none of the figures."""

    text: str
    at: tuple[int, int]
    height: int
    ink: str


PAPER = (
    Figure("star", (170, 130), 190, "ballpoint"),
    Figure("heart", (490, 150), 180, "red", 7),
    Figure("moon", (830, 130), 190, "felt", 7),
    Figure("triangle", (190, 420), 190, "pencil", 6),
    Figure("circle", (520, 450), 170, "ballpoint"),
    Figure("lightning", (860, 400), 220, "green", 7),
    Figure("hexagon", (180, 690), 180, "felt", 7),
    Figure("arrow", (480, 690), 230, "red", 8),
)
PAPER_NOTES = (
    Note("ideas for the poster", (430, 60), 40, "ballpoint"),
    Note("bigger!", (760, 730), 44, "pencil"),
)
BOARD = (
    Figure("rectangle", (110, 230), 260, "felt", 11),
    Figure("arrow", (420, 230), 200, "felt", 10),
    Figure("circle", (690, 220), 250, "red", 11),
    Figure("cross", (1010, 240), 170, "red", 13),
    Figure("star", (150, 600), 200, "green", 11),
    Figure("heart", (520, 610), 200, "red", 11),
    Figure("triangle", (860, 590), 220, "felt", 11),
)
BOARD_NOTES = (
    Note("release plan", (120, 90), 66, "felt"),
    Note("build   test   ship", (690, 850), 48, "ballpoint"),
)
PRINT = (
    Figure("circle", (80, 80), 220, "red", filled=True),
    Figure("star", (400, 70), 250, "ballpoint", filled=True),
    Figure("rectangle", (760, 90), 240, "green", filled=True),
    Figure("moon", (1030, 80), 200, "felt", filled=True),
    Figure("heart", (90, 420), 230, "red", filled=True),
    Figure("hexagon", (420, 430), 230, "ballpoint", filled=True),
    Figure("cross", (750, 430), 220, "felt", filled=True),
    Figure("lightning", (1040, 400), 240, "green", filled=True),
    Figure("triangle", (230, 700), 210, "pencil", filled=True),
    Figure("arrow", (620, 690), 240, "felt", filled=True),
)


def _inked(figure: Figure, rng: Rng) -> Image.Image:
    """Return the figure's ink on a mask of the page's size."""
    mask = Image.new("L", SIZE)
    pen = ImageDraw.Draw(mask)
    outline = strokes(figure.label, rng)
    while figure.filled and any(stroke[0] != stroke[-1] for stroke in outline):
        outline = strokes(figure.label, rng)  # Only closed outlines can be filled.
    for stroke in outline:
        corners = np.array(stroke) * figure.size + figure.at
        if figure.filled:
            pen.polygon([(float(x), float(y)) for x, y in corners], fill=255)
        else:
            stamped(chased(stroke, figure.size, rng) + figure.at, figure.width, pen)
    return mask.filter(ImageFilter.GaussianBlur(0.7))


def _noted(page: Image.Image, notes: tuple[Note, ...]) -> None:
    pen = ImageDraw.Draw(page)
    for note in notes:
        pen.text(note.at, note.text, INK[note.ink], ImageFont.load_default(note.height))


def _squared(colour: Colour, line: Colour, step: int) -> Image.Image:
    page = Image.new("RGB", SIZE, colour)
    pen = ImageDraw.Draw(page)
    for x in range(0, SIZE[0], step):
        pen.line((x, 0, x, SIZE[1]), line, 2)
    for y in range(0, SIZE[1], step):
        pen.line((0, y, SIZE[0], y), line, 2)
    return page


def _table(rng: Rng) -> npt.NDArray[np.float64]:
    """Return a wooden table: long grain along x, a few joints."""
    grain = cv2.GaussianBlur(rng.normal(0, 1, (SIZE[1], SIZE[0])), (0, 0), 60, sigmaY=2)
    wood = np.array([140, 98, 62]) + 9 * (grain / grain.std())[..., None] * np.array([1, 0.8, 0.6])
    wood[::240] *= 0.7
    return np.asarray(wood, np.float64)


def _lit(picture: npt.NDArray[np.float64], lamp: tuple[float, float], rng: Rng) -> Image.Image:
    """Return the picture in the light of a lamp, a little soft and noisy, as a phone takes it."""
    y, x = np.mgrid[0 : SIZE[1], 0 : SIZE[0]] / max(SIZE)
    light = 1.06 - 0.5 * ((x - lamp[0]) ** 2 + (y - lamp[1]) ** 2)
    shot = cv2.GaussianBlur(picture * light[..., None], (0, 0), 0.8)
    shot = shot + cv2.GaussianBlur(rng.normal(0, 6, shot.shape), (0, 0), 0.8)
    return Image.fromarray(np.clip(shot, 0, 255).astype(np.uint8))


def _box(mask: npt.NDArray[np.uint8]) -> list[float]:
    """Return ymin, xmin, ymax, xmax of the inked pixels, as shares of the picture."""
    rows, columns = np.nonzero(mask.max(axis=1) >= 64)[0], np.nonzero(mask.max(axis=0) >= 64)[0]
    ends = (rows[0] / SIZE[1], columns[0] / SIZE[0], (rows[-1] + 1) / SIZE[1],
            (columns[-1] + 1) / SIZE[0])  # fmt: skip
    return [round(float(end), 4) for end in ends]


def _composed(
    page: Image.Image, figures: tuple[Figure, ...], corners: npt.NDArray[np.float32], rng: Rng
) -> tuple[npt.NDArray[np.float64], list[dict[str, Any]], npt.NDArray[np.float64]]:
    """Draw figures on a page and lay it with its corners at the given points.

    Returns:
        The picture, its truth, and how much of each pixel the page covers (0 to 1).
    """
    flat = np.array([(0, 0), (SIZE[0], 0), SIZE, (0, SIZE[1])], np.float32)
    mapping = cv2.getPerspectiveTransform(flat, corners)
    truth = []
    for figure in figures:
        mask = _inked(figure, rng)
        page.paste(INK[figure.ink], (0, 0), mask)
        laid = cv2.warpPerspective(np.asarray(mask), mapping, SIZE)
        truth.append({"label": figure.label, "box": _box(np.asarray(laid, np.uint8))})
    seen = cv2.warpPerspective(np.asarray(page, np.float64), mapping, SIZE, flags=cv2.INTER_AREA)
    cover = cv2.warpPerspective(np.ones(SIZE[::-1]), mapping, SIZE)
    return np.asarray(seen, np.float64), truth, np.asarray(cover, np.float64)[..., None]


def paper(rng: Rng) -> tuple[Image.Image, list[dict[str, Any]]]:
    """Return a sheet of squared paper on a table, photographed at a slant."""
    page = _squared((246, 244, 236), (198, 212, 228), 40)
    _noted(page, PAPER_NOTES)
    corners = np.array([(120, 50), (1190, 20), (1240, 915), (50, 930)], np.float32)
    seen, truth, cover = _composed(page, PAPER, corners, rng)
    shadow = 1 - 0.45 * cv2.GaussianBlur(cover, (0, 0), 14)[..., None]
    return _lit(_table(rng) * shadow * (1 - cover) + seen * cover, (0.35, 0.2), rng), truth


def whiteboard(rng: Rng) -> tuple[Image.Image, list[dict[str, Any]]]:
    """Return a whiteboard with marker drawings, a reflection and its rail."""
    page = Image.new("RGB", SIZE, (226, 229, 231))
    _noted(page, BOARD_NOTES)
    corners = np.array([(0, 25), (SIZE[0], 0), (SIZE[0], 930), (0, 900)], np.float32)
    seen, truth, cover = _composed(page, BOARD, corners, rng)
    y, x = np.mgrid[0 : SIZE[1], 0 : SIZE[0]]
    glare = 38 * np.exp(-(((x - 900) / 150) ** 2) - ((y - 120) / 90) ** 2)[..., None]
    rail = np.full((SIZE[1], SIZE[0], 3), (120, 124, 128), np.float64)
    return _lit((seen + glare) * cover + rail * (1 - cover), (0.7, 0.1), rng), truth


def printed(rng: Rng) -> tuple[Image.Image, list[dict[str, Any]]]:
    """Return flat figures on white, as a paint program leaves them."""
    page = Image.new("RGB", SIZE, "white")
    flat = np.array([(0, 0), (SIZE[0], 0), SIZE, (0, SIZE[1])], np.float32)
    seen, truth, _ = _composed(page, PRINT, flat, rng)
    return Image.fromarray(np.clip(seen, 0, 255).astype(np.uint8)), truth


PICTURES = {"paper.jpg": paper, "whiteboard.jpg": whiteboard, "printed.png": printed}


def main() -> None:
    """Write the pictures and their truth."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, default=TARGET)
    out = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)
    for number, (name, make) in enumerate(PICTURES.items()):
        picture, truth = make(np.random.default_rng([9001, number]))
        picture.save(out / name, quality=82, optimize=True)
        described = {"image": name, "width": SIZE[0], "height": SIZE[1], "figures": truth}
        (out / name).with_suffix(".json").write_text(json.dumps(described, indent=1) + "\n")
        print(f"{out / name}: {(out / name).stat().st_size / 1000:.0f} kB, {len(truth)} figures")


if __name__ == "__main__":
    main()
