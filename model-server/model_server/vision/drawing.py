"""Draws boxes and names on a picture, legible at any picture size and on any background.

Pure: takes a picture and detections, returns a new picture. The caller decides what to show.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import Protocol

from PIL import Image, ImageDraw, ImageFont

# Ten hues that most colour-blind readers can also tell apart.
_PALETTE = (
    (230, 57, 70),
    (29, 122, 223),
    (42, 157, 80),
    (244, 140, 6),
    (131, 56, 190),
    (0, 150, 167),
    (214, 51, 132),
    (121, 85, 72),
    (94, 108, 0),
    (63, 81, 181),
)


class Drawable(Protocol):
    """The properties of a detection that drawing needs."""

    @property
    def label(self) -> str:
        """The name to print."""

    @property
    def class_id(self) -> int:
        """Determines the colour: a class has the same colour in every picture."""

    @property
    def score(self) -> float:
        """0 to 1."""

    @property
    def box(self) -> tuple[float, float, float, float]:
        """(ymin, xmin, ymax, xmax), fractions of height and width."""


Rectangle = tuple[int, int, int, int]


def percent(score: float) -> str:
    """Formats a score as the article prints it: whole percent, rounded down."""
    return f"{int(score * 100)}%"


def draw_detections(image: Image.Image, detections: Sequence[Drawable]) -> Image.Image:
    """Returns a copy of the RGB picture with a box and a name for each detection.

    Line width and text size scale with the picture. The box with the highest score is drawn last,
    so that it stays on top; its name is placed first.
    """
    canvas = image.copy()
    draw = ImageDraw.Draw(canvas)
    longest = max(image.size)
    line = max(2, round(longest / 400))
    font = _font(max(11, round(longest / 60)))
    boxes = [_pixels(detection.box, image.size) for detection in detections]
    for detection, box in sorted(
        zip(detections, boxes, strict=True), key=lambda pair: pair[0].score
    ):
        _outline(draw, box, _colour(detection.class_id), line)
    taken: list[Rectangle] = []
    for detection, box in sorted(
        zip(detections, boxes, strict=True), key=lambda pair: -pair[0].score
    ):
        taken.append(_name(draw, detection, box, font, taken))
    return canvas


def _outline(
    draw: ImageDraw.ImageDraw, box: Rectangle, colour: tuple[int, int, int], line: int
) -> None:
    # A thin dark line on both sides keeps the colour visible on a background of the same colour.
    edge = max(1, line // 3)
    left, top, right, bottom = box
    outer = (left - edge, top - edge, right + edge, bottom + edge)
    draw.rectangle(outer, outline=(0, 0, 0), width=line + 2 * edge)
    draw.rectangle(box, outline=colour, width=line)


def _name(
    draw: ImageDraw.ImageDraw,
    detection: Drawable,
    box: Rectangle,
    font: ImageFont.FreeTypeFont | ImageFont.ImageFont,
    taken: list[Rectangle],
) -> Rectangle:
    """Prints the name on a plate that overlaps no other if possible; returns the plate."""
    text = f"{detection.label} {percent(detection.score)}"
    left, top, right, bottom = draw.textbbox((0, 0), text, font=font)
    padding = max(2, round((bottom - top) * 0.3))
    width, height = round(right - left) + 2 * padding, round(bottom - top) + 2 * padding
    plate = _place((width, height), box, taken, draw.im.size)
    colour = _colour(detection.class_id)
    draw.rectangle(plate, fill=colour, outline=(0, 0, 0))
    draw.text(
        (plate[0] + padding - left, plate[1] + padding - top),
        text,
        font=font,
        fill=_ink(colour),
    )
    return plate


def _place(
    size: tuple[int, int], box: Rectangle, taken: list[Rectangle], picture: tuple[int, int]
) -> Rectangle:
    """Finds a free place: above the box, inside its top or bottom, below it, then further down."""
    width, height = size
    left, top, right, bottom = box
    tops = [top - height, top, bottom - height, bottom]
    tops += range(top + height, max(bottom - height, top + height + 1), height)
    lefts = [left, right - width]
    fitting = [
        plate
        for y in tops
        for x in lefts
        if (plate := _inside((x, y, x + width, y + height), picture))
        and not any(_overlap(plate, other) for other in taken)
    ]
    fallback = _inside((left, max(0, top - height), left + width, max(height, top)), picture)
    return fitting[0] if fitting else (fallback or (0, 0, width, height))


def _inside(plate: Rectangle, picture: tuple[int, int]) -> Rectangle | None:
    """Shifts the plate sideways into the picture; returns None if it extends above or below."""
    left, top, right, bottom = plate
    if top < 0 or bottom > picture[1]:
        return None
    shift = min(0, picture[0] - right)
    left = max(0, left + shift)
    return left, top, left + (right - plate[0]), bottom


def _overlap(one: Rectangle, other: Rectangle) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def _pixels(box: tuple[float, float, float, float], size: tuple[int, int]) -> Rectangle:
    width, height = size
    ymin, xmin, ymax, xmax = box
    left, top = round(xmin * (width - 1)), round(ymin * (height - 1))
    return left, top, max(left, round(xmax * (width - 1))), max(top, round(ymax * (height - 1)))


def _colour(class_id: int) -> tuple[int, int, int]:
    return _PALETTE[class_id % len(_PALETTE)]


def _ink(background: tuple[int, int, int]) -> tuple[int, int, int]:
    red, green, blue = background
    luminance = 0.299 * red + 0.587 * green + 0.114 * blue
    return (0, 0, 0) if luminance > 150 else (255, 255, 255)


@lru_cache(maxsize=32)
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)
