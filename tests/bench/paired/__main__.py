"""`python -m bench.paired`: contestants against each other and the bare engine, with intervals.

For example, on two cores (one serves, one asks), about ten minutes:

  python -m bench.paired --contestants "ours,ours (Pillow's resize),mosec" \
    --workloads "detector answer 0.3MP,detector answer 2MP" --rounds 15 --publish
"""

from __future__ import annotations

import argparse
import os
import secrets
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from bench import installs, machine, paths
from bench.cli import end_once
from bench.paired import figures
from bench.paired.run import Plan, measure
from bench.serving import cases, contestants
from bench.serving.measure import Setting


def parser() -> argparse.ArgumentParser:
    """The flags and their help."""
    made = argparse.ArgumentParser(
        prog="python -m bench.paired",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument(
        "--contestants",
        metavar="NAMES",
        default=f"{contestants.OURS},{contestants.PILLOW},mosec,kserve,litserve",
        help="comma-separated names of servers (%(default)s)",
    )
    made.add_argument(
        "--workloads", metavar="NAMES", default="detector answer 0.3MP", help="comma-separated"
    )
    made.add_argument("--clients", type=int, default=1, help="how many ask at once (1)")
    made.add_argument("--rounds", type=int, default=12, help="turns of each contestant (12)")
    made.add_argument("--seconds", type=float, default=1.0, help="of a turn (1)")
    made.add_argument("--seed", type=int, help="of the order of turns (drawn)")
    made.add_argument("--output", type=Path, default=paths.RESULTS / "paired.json")
    made.add_argument(
        "--publish",
        action="store_true",
        help="keep the figures under tests/bench/figures and renew their part of BENCHMARKS.md",
    )
    return made


def main(argv: Sequence[str] | None = None) -> int:
    """Measures and prints the tables."""
    flags = parser().parse_args(argv)
    # Whatever ends it, what was started is stopped.
    signal.signal(signal.SIGTERM, end_once)
    seed = secrets.randbelow(1 << 31) if flags.seed is None else flags.seed
    about = {**machine.describe(), "seed": seed}
    installs.compile_sources()
    cores = tuple(sorted(os.sched_getaffinity(0)))
    pinned = len(cores) > 1
    setting = Setting(
        installs.load_generator(),
        cores[:-1] if pinned else cores,
        cores[-1] if pinned else None,
        0.2,
        flags.seconds,
        flags.seconds,
    )
    turns = []
    for workload in cases.chosen(flags.workloads, cases.QUICK):
        offered = [one for one in contestants.chosen(flags.contestants) if one.does(workload)]
        turns += measure(Plan(workload, flags.clients, offered, flags.rounds, seed, setting))
        figures.save(flags.output, about, turns, merge=False)
    print(figures.cases_of(*figures.load(flags.output)))
    if flags.publish:
        figures.save(paths.FIGURES / f"{about['processor']}.json", about, turns, merge=True)
        page = paths.TABLE.read_text(encoding="utf-8")
        part = figures.section(paths.FIGURES)
        paths.TABLE.write_text(figures.put_into(page, part), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
