"""The committed figures, one file for each class of processor, and their part of BENCHMARKS.md."""

from __future__ import annotations

import json
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bench.paired import verdict
from bench.paired.turns import PairedTurn
from bench.report.markdown import Cell, table
from bench.serving.contestants import VARIANTS
from bench.stats import Interval

BEGIN = "<!-- paired: written by python -m bench.paired -->"
END = "<!-- paired: end -->"
HEAD = """\
## Paired

What tells 2 % apart (`python -m bench.paired`): contestants run all the time and take short turns
in random order. The bare engine, which resizes with Pillow, takes a turn before and after each.
Ratios are to these two, with their 95 % interval (Student's t on logarithms) over the rounds. CPU
ratios are the bare engine's CPU time for an image divided by the contestant's: busy neighbours move
them less. The place is by speed; only whole intervals count, widened for the number of rivals.
Figures of different classes of processor do not compare.
"""


def load(path: Path) -> tuple[dict[str, Any], list[PairedTurn]]:
    """The machine and the turns of a file; nothing where there is none."""
    if not path.exists():
        return {}, []
    document = json.loads(path.read_text(encoding="utf-8"))
    return document["machines"], [PairedTurn(**turn) for turn in document["turns"]]


def save(
    path: Path, machine: Mapping[str, Any], turns: Sequence[PairedTurn], *, merge: bool
) -> None:
    """Writes turns; with `merge`, cases that were not measured this time stay as they are."""
    machines, old = load(path) if merge else ({}, [])
    cases = {turn.case for turn in turns}
    kept = [turn for turn in old if turn.case not in cases]
    about = {case: which for case, which in machines.items() if case not in cases}
    document = {
        "machines": {**about, **{case: dict(machine) for case in sorted(cases)}},
        "turns": [asdict(turn) for turn in [*kept, *turns]],
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


def section(folder: Path) -> str:
    """The part of BENCHMARKS.md, of all files in a folder; empty where there are none."""
    parts = [
        f"### Processor class {file.stem}\n\n" + cases_of(*load(file))
        for file in sorted(folder.glob("*.json"))
    ]
    return "\n".join([BEGIN, HEAD, *parts, END]) + "\n" if parts else ""


def put_into(page: str, part: str) -> str:
    """A page with its paired part replaced, or added at its end; as it is without a part."""
    if not part:
        return page
    before, begin, rest = page.partition(BEGIN)
    after = rest.partition(END)[2].lstrip("\n") if begin else ""
    joined = before.rstrip("\n") + "\n\n" + part
    return joined + (f"\n{after}" if after else "")


def cases_of(machines: Mapping[str, Any], turns: Sequence[PairedTurn]) -> str:
    """A table for each case, with the machine that it was measured on."""
    parts = []
    for case in dict.fromkeys(turn.case for turn in turns):
        asked = [turn for turn in turns if turn.case == case]
        machine = machines.get(case, {})
        raw = [turn.raw_before for turn in asked]
        busy = statistics.median(turn.others_busy for turn in asked)
        parts.append(
            f"#### {case}\n\n"
            f"{machine.get('cpu')}, {machine.get('cores')} cores; commit {machine.get('commit')}, "
            f"{machine.get('started')}; seed {machine.get('seed')}. The bare engine did "
            f"{min(raw):.1f} to {max(raw):.1f} images/s (median {statistics.median(raw):.1f}); "
            f"others took {busy:.0%} of the machine.\n\n" + _table(asked)
        )
    return "\n".join(parts)


def _table(turns: Sequence[PairedTurn]) -> str:
    names = list(dict.fromkeys(sorted(turn.contestant for turn in turns)))
    lines: list[tuple[float, list[Cell]]] = []
    for name in names:
        speed = verdict.to_raw(turns, name, verdict.speed)
        thrift = verdict.to_raw(turns, name, verdict.thrift)
        ours = VARIANTS if name in VARIANTS else frozenset({name})
        rivals = [other for other in names if other not in ours]
        place = verdict.place(turns, name, rivals)
        lines.append((speed.ratio, [name, told(speed), told(thrift), speed.pairs, place]))
    lines.sort(key=lambda line: -line[0])
    heads = ["server", "speed / bare engine", "CPU of the bare engine / own", "rounds", "place"]
    return table(heads, [line for _, line in lines])


def told(interval: Interval) -> str:
    """`1.032 (1.021 to 1.043)`."""
    return f"{interval.ratio:.3f} ({interval.low:.3f} to {interval.high:.3f})"
