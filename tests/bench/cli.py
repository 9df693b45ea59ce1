"""The command line of the benchmark: reads flags, runs the parts, writes table and plots."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench import installs, machine, paths
from bench.control import run as control
from bench.control.run import OperatorBench
from bench.engines import run as engines
from bench.engines.run import EngineBench
from bench.progress import Progress
from bench.record import Results
from bench.report.write import write
from bench.serving import cases, contestants
from bench.serving.measure import Setting
from bench.serving.run import Plan, ServingBench
from bench.turns import Taker

PARTS = ("engine", "serving", "operator")
EPILOG = """\
Examples:
  python -m bench                         everything (an hour on two cores)
  python -m bench --resume                go on with a run that was cut off, failed turns again
  python -m bench --quick                 ours and the limits only (under five minutes)
  python -m bench --only serving --contestants ours,mosec --rounds 2 --seconds 3
  python -m bench report                  table and plots again, from .bench/results.json
  python -m bench lock                    resolve the peers' pinned requirements again

Results go to .bench/results.json as they are measured; a whole run then replaces BENCHMARKS.md
and tests/bench/plots/, any other leaves its table and plots in .bench/. Load is sent to loopback
only. Measure on a quiet machine: every row says how busy the rest of it was.
"""

CUT_OFF = """\
Cut off. What was measured is kept: `python -m bench --resume` goes on with the same flags, and
`python -m bench report` makes table and plots of what there is."""


def parser() -> argparse.ArgumentParser:
    """The flags and their help."""
    made = argparse.ArgumentParser(
        prog="python -m bench",
        description="Measure this software against its limits and its peers, in one run.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument("command", nargs="?", choices=("run", "report", "lock"), default="run")
    made.add_argument(
        "--output",
        type=Path,
        default=paths.RESULTS,
        help="folder of the results (.bench)",
    )
    made.add_argument(
        "--publish",
        action="store_true",
        help="replace BENCHMARKS.md and the committed plots; a whole run does so by itself",
    )
    made.add_argument(
        "--note", default="", help="with report: what a reader must know of this run alone"
    )
    made.add_argument("--quick", action="store_true", help="ours and the limits only, short")
    made.add_argument(
        "--resume",
        action="store_true",
        help="keep what an interrupted run of the same commit and flags has measured",
    )
    made.add_argument(
        "--only", metavar="PARTS", default="", help=f"comma-separated: {', '.join(PARTS)}"
    )
    made.add_argument(
        "--contestants", metavar="NAMES", default="", help="comma-separated names of servers"
    )
    made.add_argument(
        "--workloads",
        metavar="NAMES",
        default="",
        help=f"comma-separated: {', '.join(workload.name for workload in cases.FULL)}",
    )
    made.add_argument(
        "--services", type=int, nargs="+", help="sizes of the operator benchmark (100 500 2000)"
    )
    made.add_argument("--rounds", type=int, help="rounds of each measurement (2; 1 with --quick)")
    made.add_argument("--seconds", type=float, default=2.0, help="length of each measurement (2)")
    made.add_argument("--warm", type=float, default=0.5, help="seconds before each (0.5)")
    made.add_argument(
        "--layout",
        choices=("pinned", "shared"),
        default="pinned",
        help="pinned: the load generator has a core of its own; shared: all use all cores",
    )
    return made


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command.

    Returns:
        The exit status: 0 also when goals are missed, because a miss is a result; 1 when a table
        is published again from the results and misses have no reason or a stale one.
    """
    arguments = parser().parse_args(argv)
    if arguments.command == "lock":
        installs.lock()
        return 0
    signal.signal(signal.SIGTERM, end_once)
    path = arguments.output / "results.json"
    if arguments.command == "report":
        results = Results.load(path)
        if arguments.note:
            results.machine["note"] = arguments.note
        wrong = write(results, publish=arguments.publish)
        return 1 if wrong and arguments.publish else 0
    results = begin(path, {**machine.describe(), "plan": plan_of(arguments)}, arguments.resume)
    try:
        run(arguments, results, Progress())
    except (KeyboardInterrupt, SystemExit):
        if results.rows:
            print(CUT_OFF, file=sys.stderr)
        raise
    whole = not (arguments.quick or arguments.only or arguments.contestants)
    write(results, publish=whole or arguments.publish)
    return 0


def end_once(number: int, _frame: object) -> None:
    """Handles SIGTERM: what was started is stopped, whichever way this ends.

    ``timeout`` sends the signal to the process and again to its group; the second one must not
    end the cleaning up after the first.

    Raises:
        SystemExit: Always.
    """
    signal.signal(number, signal.SIG_IGN)
    sys.exit("stopped by SIGTERM")


def plan_of(arguments: argparse.Namespace) -> dict[str, Any]:
    """The flags that decide what is measured and how."""
    kept = ("quick", "only", "contestants", "workloads", "services", "rounds", "seconds", "warm",
            "layout")  # fmt: skip
    return {name: getattr(arguments, name) for name in kept}


def begin(path: Path, described: dict[str, Any], resume: bool) -> Results:
    """Empty results, or those of an interrupted run.

    Raises:
        SystemExit: There is no such run, or it was of another commit or other flags: its figures
            would not be comparable.
    """
    if not resume:
        return Results(path, described)
    results = Results.load(path)
    for name in ("commit", "plan"):
        if results.machine.get(name) != described[name]:
            raise SystemExit(
                f"--resume: {path} is of the {name} {results.machine.get(name)}, this run would be "
                f"of {described[name]}; start again without --resume"
            )
    results.keep_whole_turns()
    return results


def run(arguments: argparse.Namespace, results: Results, progress: Progress) -> None:
    """Measure the parts that the flags ask for.

    Raises:
        SystemExit: A flag names something that does not exist.
    """
    wanted = [part.strip() for part in arguments.only.split(",") if part.strip()] or list(PARTS)
    for name in wanted:
        if name not in PARTS:
            raise SystemExit(f"--only: there is no {name!r}; there are {', '.join(PARTS)}")
    installs.compile_sources()
    taker = Taker(results, progress)
    parts: list[EngineBench | ServingBench | OperatorBench] = []
    if "engine" in wanted:
        entries = engines.QUICK if arguments.quick else engines.ENTRIES
        parts.append(EngineBench(entries, rounds(arguments), arguments.seconds, taker))
    if "serving" in wanted:
        parts.append(ServingBench(serving_plan(arguments), taker))
    if "operator" in wanted:
        counts = arguments.services or (control.QUICK if arguments.quick else control.FULL)
        parts.append(OperatorBench(counts, taker, naive=not arguments.quick))
    for part in parts:
        progress.expect(part.expect_seconds())
    for part in parts:
        part.run()


def rounds(arguments: argparse.Namespace) -> int:
    """How often each measurement is taken; one round keeps a quick run under five minutes."""
    return int(arguments.rounds or (1 if arguments.quick else 2))


def serving_plan(arguments: argparse.Namespace) -> Plan:
    """The serving benchmark that the flags ask for."""
    everyone = contestants.chosen(arguments.contestants)
    if arguments.quick and not arguments.contestants:
        everyone = contestants.chosen(f"{contestants.OURS},{contestants.BATCHING}")
    cores = tuple(sorted(os.sched_getaffinity(0)))
    pinned = arguments.layout == "pinned" and len(cores) > 1
    setting = Setting(
        generator=installs.load_generator(),
        cores=cores[:-1] if pinned else cores,
        client_core=cores[-1] if pinned else None,
        warm=arguments.warm,
        seconds=arguments.seconds,
        # A queue shows only once it has had the time to fill, and the first answer takes its time.
        open_seconds=max(6.0, arguments.seconds),
    )
    return Plan(
        workloads=cases.chosen(arguments.workloads, cases.QUICK if arguments.quick else cases.FULL),
        contestants=everyone,
        rounds=rounds(arguments),
        setting=setting,
        layout="pinned" if pinned else "shared",
    )
