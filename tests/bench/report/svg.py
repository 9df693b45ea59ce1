"""Two kinds of plot as SVG text: bars to compare, lines to see how something grows. Pure.

Written by hand, because a plotting library would be a large dependency for two shapes, and its
output changes with its version.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

FONT = "font-family='system-ui, sans-serif'"
INK = "#24292f"
FAINT = "#d0d7de"
COLOURS = ("#0969da", "#bf3989", "#e16f24", "#9a6700", "#8250df", "#cf222e", "#0e7490", "#6e7781")
OURS = "#1a7f37"
LIMIT = "#57606a"
PEER = "#8cb4e8"
# Who is looked for first has the same colour in every plot, and a thicker line.
FIXED = {"ours": OURS, "raw engine": LIMIT}
BAR = 26
LEFT = 240
WIDTH = 760


@dataclass(frozen=True)
class Bar:
    """One bar.

    Attributes:
        name: At its left.
        value: Its length, not negative.
        note: After its value.
        colour: Of the bar.
    """

    name: str
    value: float
    note: str = ""
    colour: str = PEER


def number(value: float) -> str:
    """A number with three significant digits, without an exponent."""
    if value == 0 or abs(value) >= 100:
        return f"{value:.0f}"
    digits = max(0, 2 - math.floor(math.log10(abs(value))))
    text = f"{value:.{digits}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def bars(title: str, unit: str, entries: Sequence[Bar]) -> str:
    """Horizontal bars from zero, in the order given."""
    most = max((entry.value for entry in entries), default=0.0) or 1.0
    # About seven pixels a letter, so that the longest value and note still fit.
    letters = max((len(_label(entry)) for entry in entries), default=0)
    room = WIDTH - LEFT - 24 - 7.5 * letters
    height = 64 + BAR * len(entries)
    parts = [_text(16, 28, title, size=16, weight="600"), _text(16, 46, unit, size=12)]
    for place, entry in enumerate(entries):
        y = 58 + place * BAR
        length = max(1.0, room * entry.value / most)
        parts += [
            _text(LEFT - 8, y + 15, entry.name, anchor="end"),
            _box(LEFT, y + 2, length, entry.colour),
            _text(LEFT + length + 6, y + 15, _label(entry)),
        ]
    return _document(WIDTH, height, parts)


def _label(entry: Bar) -> str:
    return number(entry.value) + (f"  {entry.note}" if entry.note else "")


def lines(
    title: str, axes: tuple[str, str], series: Mapping[str, Sequence[tuple[float, float]]]
) -> str:
    """Lines over points that may lie far apart: both axes are logarithmic.

    Args:
        title: Above the plot.
        axes: What runs to the right and what runs up.
        series: The points of each line, (x, y), all positive.
    """
    points = [point for line in series.values() for point in line]
    if not points:
        return _document(WIDTH, 60, [_text(16, 28, title, size=16, weight="600")])
    plot = _Frame([x for x, _ in points], [y for _, y in points])
    parts = [_text(16, 28, title, size=16, weight="600"), *plot.grid(axes)]
    names = []
    for place, (name, line) in enumerate(series.items()):
        colour = FIXED.get(name, COLOURS[place % len(COLOURS)])
        width = 4 if name in FIXED else 2
        path = " ".join(f"{plot.x(x):.1f},{plot.y(y):.1f}" for x, y in sorted(line))
        dash = " stroke-dasharray='6 4'" if place >= len(COLOURS) else ""
        stroke = f"stroke='{colour}' stroke-width='{width}'{dash}"
        parts.append(f"<polyline points='{path}' fill='none' {stroke}/>")
        parts += [
            f"<circle cx='{plot.x(x):.1f}' cy='{plot.y(y):.1f}' r='3' fill='{colour}'/>"
            for x, y in line
        ]
        names.append((plot.y(max(line)[1]), name, colour))
    return _document(WIDTH, plot.height, [*parts, *_legend(names, plot.right + 10)])


class _Frame:
    """Where a point lies in a plot with logarithmic axes."""

    left, top, right, bottom, height = 70, 50, 570, 370, 420

    def __init__(self, xs: Sequence[float], ys: Sequence[float]) -> None:
        self._xs = sorted(set(xs))
        self._low, self._high = (math.floor(_log(min(ys))), math.ceil(_log(max(ys))))
        if self._low == self._high:
            self._high += 1

    def x(self, value: float) -> float:
        first, last = _log(self._xs[0]), _log(self._xs[-1])
        share = (_log(value) - first) / (last - first) if last > first else 0.5
        return self.left + 14 + share * (self.right - self.left - 28)

    def y(self, value: float) -> float:
        share = (_log(value) - self._low) / (self._high - self._low)
        return self.bottom - share * (self.bottom - self.top)

    def grid(self, axes: tuple[str, str]) -> list[str]:
        parts = [
            _text((self.left + self.right) / 2, self.bottom + 38, axes[0], anchor="middle"),
            _text(self.left, self.top - 8, axes[1], size=12),
        ]
        for power in range(self._low, self._high + 1):
            y = self.y(10.0**power)
            parts += [
                _line(self.left, y, self.right, y),
                _text(62, y + 4, number(10.0**power), "end"),
            ]
        for value in self._xs:
            x = self.x(value)
            parts.append(_text(x, self.bottom + 18, number(value), "middle"))
        return parts


def _legend(names: list[tuple[float, str, str]], x: float) -> list[str]:
    """Names at the ends of their lines, pushed apart so that none covers another."""
    parts, lowest = [], -math.inf
    for y, name, colour in sorted(names):
        lowest = max(y + 4, lowest + 15)
        parts.append(_text(x, lowest, name, colour=colour))
    return parts


def _log(value: float) -> float:
    return math.log10(value)


def _box(x: float, y: float, width: float, colour: str) -> str:
    size = f"width='{width:.1f}' height='{BAR - 8}'"
    return f"<rect x='{x:.1f}' y='{y:.1f}' {size} rx='2' fill='{colour}'/>"


def _line(x1: float, y1: float, x2: float, y2: float) -> str:
    return f"<line x1='{x1:.1f}' y1='{y1:.1f}' x2='{x2:.1f}' y2='{y2:.1f}' stroke='{FAINT}'/>"


def _text(
    x: float,
    y: float,
    text: str,
    anchor: str = "start",
    *,
    size: int = 13,
    weight: str = "400",
    colour: str = INK,
) -> str:
    return (
        f"<text x='{x:.1f}' y='{y:.1f}' text-anchor='{anchor}' font-size='{size}' "
        f"font-weight='{weight}' fill='{colour}' {FONT} xml:space='preserve'>{escape(text)}</text>"
    )


def _document(width: int, height: int, parts: Sequence[str]) -> str:
    return (
        f"<svg xmlns='http://www.w3.org/2000/svg' width='{width}' height='{height}' "
        f"viewBox='0 0 {width} {height}'>\n"
        f"<rect width='{width}' height='{height}' fill='white'/>\n"
        + "\n".join(parts)
        + "\n</svg>\n"
    )
