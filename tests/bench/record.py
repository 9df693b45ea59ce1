"""The results file: rows as they are measured, goals computed from rows of the same run.

Every row is written as soon as it is known, by replacing the file in one step, so that a crash
loses at most the turn that was running. A turn is all that is measured of one contestant from its
start to its stop; its last row, of the kind ``turn``, says that it is whole. It must not measure
or render.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypedDict

Row = dict[str, Any]
TURN = "turn"
ERROR = "error"
# What tells one turn from another; a row has those of them that apply.
_TURN_FIELDS = ("bench", "layout", "model", "form", "contestant", "services", "round")


class Goal(TypedDict):
    """One promise and whether this run kept it; ``ratio`` is None when it was not measured."""

    name: str
    ratio: float | None
    goal: str
    met: bool | None
    note: str


class Document(TypedDict):
    """What ``results.json`` holds."""

    goals: list[Goal]
    rows: list[Row]
    machine: dict[str, Any]


@dataclass
class Results:
    """The rows of one run.

    Args:
        path: The file that holds them.
        machine: What the machine was, as from ``machine.describe``.
    """

    path: Path
    machine: dict[str, Any]
    rows: list[Row] = field(default_factory=list)
    goals: list[Goal] = field(default_factory=list)

    def add(self, **values: Any) -> Row:
        """Add one row and save; ``bench`` and ``contestant`` should be among the values."""
        row: Row = {**values, "at": round(time.time(), 3)}
        self.rows.append(row)
        self.save()
        return row

    def has_turn(self, common: Mapping[str, Any]) -> bool:
        """Whether the turn with these fields was taken to its end."""
        wanted = _turn_of(common)
        return any(row["kind"] == TURN and _turn_of(row) == wanted for row in self.rows)

    def keep_whole_turns(self) -> None:
        """Drop the rows of turns that were cut off or failed, so that they are taken again."""
        failed = {_turn_of(row) for row in self.rows if row["kind"] == ERROR}
        whole = {_turn_of(row) for row in self.rows if row["kind"] == TURN} - failed
        self.rows = [row for row in self.rows if _turn_of(row) in whole]

    def save(self) -> None:
        """Replace the file by what is known now."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        document: Document = {"goals": self.goals, "rows": self.rows, "machine": self.machine}
        beside = self.path.with_suffix(".partial")
        beside.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
        os.replace(beside, self.path)  # noqa: PTH105 (atomic on purpose)

    @classmethod
    def load(cls, path: Path) -> Results:
        """Read a results file.

        Raises:
            SystemExit: There is none, or it is not one; the message says what to run.
        """
        try:
            document = json.loads(path.read_text(encoding="utf-8"))
            return cls(path, document["machine"], document["rows"], document["goals"])
        except FileNotFoundError:
            raise SystemExit(f"{path} does not exist: run `make bench` first") from None
        except (ValueError, KeyError) as error:
            raise SystemExit(f"{path} is not a results file ({error}): run `make bench`") from None


def _turn_of(row: Mapping[str, Any]) -> tuple[Any, ...]:
    return tuple(row.get(name) for name in _TURN_FIELDS)
