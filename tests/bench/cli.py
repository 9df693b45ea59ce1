"""The command line of the benchmark: reads flags, runs the parts, writes table and plots."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

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

PARTS = ("engine", "serving", "operator")
EPILOG = """\
Examples:
  python -m bench                         everything (about two hours)
  python -m bench --quick                 ours and the limits only (under five minutes)
  python -m bench --only serving --contestants ours,mosec --rounds 2 --seconds 3
  python -m bench report                  table and plots again, from .bench/results.json
  python -m bench lock                    resolve the peers' pinned requirements again

Results go to .bench/results.json as they are measured; a whole run then replaces BENCHMARKS.md
and tests/bench/plots/, any other leaves its table and plots in .bench/. Load is sent to loopback
only. Measure on a quiet machine: every row says how busy the rest of it was.
"""


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
    made.add_argument("--quick", action="store_true", help="ours and the limits only, short")
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
    made.add_argument("--rounds", type=int, help="rounds of each measurement (3; quick: 2)")
    made.add_argument("--seconds", type=float, help="length of each measurement (5; quick: 3)")
    made.add_argument("--warm", type=float, default=1.0, help="seconds before each (1)")
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
        The exit status: 0 also when goals are missed, because a miss is a result.
    """
    arguments = parser().parse_args(argv)
    if arguments.command == "lock":
        installs.lock()
        return 0
    # So that what was started is stopped, whichever way this ends.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped by SIGTERM"))
    path = arguments.output / "results.json"
    if arguments.command == "report":
        write(Results.load(path), publish=arguments.publish)
        return 0
    results = Results(path, machine.describe())
    run(arguments, results, Progress())
    whole = not (arguments.quick or arguments.only or arguments.contestants)
    write(results, publish=whole or arguments.publish)
    return 0


def run(arguments: argparse.Namespace, results: Results, progress: Progress) -> None:
    """Measure the parts that the flags ask for.

    Raises:
        SystemExit: A flag names something that does not exist.
    """
    wanted = [part.strip() for part in arguments.only.split(",") if part.strip()] or list(PARTS)
    for name in wanted:
        if name not in PARTS:
            raise SystemExit(f"--only: there is no {name!r}; there are {', '.join(PARTS)}")
    parts: list[EngineBench | ServingBench | OperatorBench] = []
    if "engine" in wanted:
        entries = engines.QUICK if arguments.quick else engines.ENTRIES
        parts.append(EngineBench(entries, rounds(arguments), seconds(arguments), results, progress))
    if "serving" in wanted:
        parts.append(ServingBench(serving_plan(arguments), results, progress))
    if "operator" in wanted:
        counts = arguments.services or (control.QUICK if arguments.quick else control.FULL)
        parts.append(OperatorBench(counts, results, progress, naive=not arguments.quick))
    for part in parts:
        progress.expect(part.expect_seconds())
    for part in parts:
        part.run()


def rounds(arguments: argparse.Namespace) -> int:
    """How often each measurement is taken."""
    return int(arguments.rounds or (2 if arguments.quick else 3))


def seconds(arguments: argparse.Namespace) -> float:
    """How long each measurement lasts."""
    return float(arguments.seconds or (3.0 if arguments.quick else 5.0))


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
        seconds=seconds(arguments),
    )
    return Plan(
        workloads=cases.chosen(arguments.workloads, cases.QUICK if arguments.quick else cases.FULL),
        contestants=everyone,
        rounds=rounds(arguments),
        setting=setting,
        layout="pinned" if pinned else "shared",
    )
