"""Tables of plain values as Markdown. Pure; knows nothing of what is measured."""

from __future__ import annotations

from collections.abc import Sequence

Cell = str | float | int | None


def table(heads: Sequence[str], rows: Sequence[Sequence[Cell]]) -> str:
    """A table; the first column is to the left, the others to the right.

    Raises:
        ValueError: A row has another number of cells than there are heads.
    """
    for row in rows:
        if len(row) != len(heads):
            raise ValueError(f"{len(row)} cells under {len(heads)} heads: {row!r}")
    marks = ["---", *("---:" for _ in heads[1:])]
    lines = [list(heads), marks, *([shown(cell) for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def shown(cell: Cell) -> str:
    """A value as a reader wants it: three significant digits, nothing for nothing."""
    if cell is None:
        return ""
    if isinstance(cell, str):
        return " ".join(cell.split()).replace("|", "\\|")
    if isinstance(cell, int) or abs(cell) >= 100:
        return f"{cell:.0f}"
    return f"{cell:.3g}"
