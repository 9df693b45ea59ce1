"""The command line of the benchmark: reads flags, runs the parts, writes table and plots."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from bench import installs, machine, paths
from bench.progress import Progress
from bench.record import Results
from bench.serving import cases, contestants
from bench.serving.measure import Setting
from bench.serving.run import Plan, ServingBench

PARTS = ("engine", "serving", "operator")
EPILOG = """\
Examples:
  python -m bench                         everything (about two hours)
  python -m bench --quick                 ours and the limits only (under five minutes)
  python -m bench --only serving --contestants ours,mosec --rounds 2 --seconds 3
  python -m bench report                  write the table and the plots again from .bench/results.json
  python -m bench lock                    resolve the peers' pinned requirements again

Results go to .bench/results.json as they are measured, then to BENCHMARKS.md and
tests/bench/plots/. Load is sent to loopback only. Measure on a quiet machine: every row says how
busy the rest of it was.
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
    made.add_argument("--quick", action="store_true", help="ours and the limits only, short")
    made.add_argument(
        "--only", metavar="PARTS", default="", help=f"comma-separated: {', '.join(PARTS)}"
    )
    made.add_argument(
        "--contestants", metavar="NAMES", default="", help="comma-separated names of servers"
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
    results = Results(paths.RESULTS / "results.json", machine.describe())
    progress = Progress()
    serving = ServingBench(serving_plan(arguments), results, progress)
    progress.expect(serving.expect_seconds())
    serving.run()
    return 0


def serving_plan(arguments: argparse.Namespace) -> Plan:
    """The serving benchmark that the flags ask for."""
    everyone = contestants.chosen(arguments.contestants)
    if arguments.quick and not arguments.contestants:
        everyone = contestants.chosen(contestants.OURS)
    cores = tuple(sorted(os.sched_getaffinity(0)))
    pinned = arguments.layout == "pinned" and len(cores) > 1
    setting = Setting(
        generator=installs.load_generator(),
        cores=cores[:-1] if pinned else cores,
        client_core=cores[-1] if pinned else None,
        warm=arguments.warm,
        seconds=arguments.seconds or (3.0 if arguments.quick else 5.0),
    )
    return Plan(
        workloads=cases.QUICK if arguments.quick else cases.FULL,
        contestants=everyone,
        rounds=arguments.rounds or (2 if arguments.quick else 3),
        setting=setting,
        layout="pinned" if pinned else "shared",
    )
