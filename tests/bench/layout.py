"""`python -m bench.layout`: which layout of workers, copies and threads serves fastest here.

The server's own default is a choice between processes, copies of the model and threads of one
inference, and of how many requests may be inside at once. Each alternative is measured with the
detector and with ResNet50, on one core and on all, several rounds interleaved; batching is one of
them. The load generator shares the cores when all are used: it takes a hundredth of them.

What takes one picture at a time, as the two recommended files do, is never batched. The forms that
TensorFlow runs take any number: `--models resnet50:savedmodel,resnet50:keras` measures these.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bench import installs
from bench.assets import files, pictures
from bench.processes import free_port
from bench.report.markdown import Cell, table
from bench.schedule import interleaved
from bench.serving import wire
from bench.serving.cases import Workload
from bench.serving.contestants import Command, Contestant, Start, ours
from bench.serving.measure import Setting, Subject, launch
from bench.serving.run import expected_labels

WARM = 0.5
CLIENTS = (1, 2, 8)


@dataclass(frozen=True)
class Layout:
    """One way to use the cores.

    Attributes:
        workers: Processes.
        instances: Copies of the model in each, which compute at the same time; 0 for its choice.
        threads: Of one inference; 0 for its choice.
        inside: Requests that each worker works on; 0 for its choice.
        batch: Requests computed together at most.
    """

    workers: int = 1
    instances: int = 0
    threads: int = 0
    inside: int = 0
    batch: int = 1

    def __str__(self) -> str:
        text = f"{self.workers} x {self.instances} x {self.threads}"
        if not self.threads:
            text = "its own choice"
        text += f", {self.inside} inside" if self.inside else ""
        return text + (f", batches of {self.batch}" if self.batch > 1 else "")

    def flags(self) -> list[str]:
        """The server's flags."""
        return [
            *("--workers", str(self.workers), "--model-instances", str(self.instances)),
            *("--model-threads", str(self.threads), "--max-batch-size", str(self.batch)),
            *("--container-concurrency", str(self.inside)),
        ]


def layouts(cores: int) -> list[Layout]:
    """The alternatives for so many cores, the server's own choice first."""
    if cores == 1:
        return [Layout(), Layout(inside=1), Layout(inside=3), Layout(batch=8)]
    return [
        Layout(),
        Layout(inside=cores),
        Layout(inside=cores + 2),
        Layout(batch=8),
        Layout(instances=cores, threads=1),
        Layout(instances=1, threads=cores),
        Layout(workers=cores, instances=1, threads=1),
    ]


def _command(layout: Layout, form: str) -> Command:
    if not form:
        return lambda python, start: [*ours(python, start), *layout.flags()]
    # Of a flag that is given twice the last counts.
    path = files.forms("resnet50")[form]()
    form_flags = ["--model", str(path), *(["--preprocessing", "caffe"] if path.is_dir() else [])]
    return lambda python, start: [*ours(python, start), *layout.flags(), *form_flags]


def measure(
    layout: Layout, form: str, workload: Workload, setting: Setting, named: Mapping[str, str]
) -> dict[int, dict[str, float]]:
    """Images per second and latencies of a layout, by the number of clients.

    Args:
        layout: What to measure.
        form: Of the model, as `assets.files.forms` names it; empty for the recommended file.
        workload: What is asked.
        setting: How to measure.
        named: What the bare engine sees first in each picture, by the picture's name.
    """
    model = files.files(workload.model)
    shown = [picture for picture in pictures.prepare(workload.size) if picture.name in named]
    protocols = {"detector answer": wire.OURS_DETECTIONS, "resnet50 answer": wire.FORM}
    contestant = Contestant(f"layout {layout}", "", _command(layout, form), protocols)
    start = Start(model, workload, (free_port(), free_port(), free_port()), len(setting.cores))
    with launch(contestant, start, setting) as running:
        subject = Subject(contestant, running, f"http://127.0.0.1:{start.ports[0]}", setting)
        subject.start_seconds(workload, shown[0], named[shown[0].name])
        labels = set(named.values())
        return {count: subject.closed(workload, shown, labels, count) for count in CLIENTS}


def main(argv: Sequence[str] | None = None) -> int:
    """Measures and prints a table for each model and number of cores."""
    parser = argparse.ArgumentParser(prog="python -m bench.layout", description=__doc__)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=3.0, help="of each measurement")
    parser.add_argument("--models", default="detector,resnet50", help="MODEL or resnet50:FORM")
    parser.add_argument("--cores", type=int, nargs="*", default=[], help="default: one, and all")
    flags = parser.parse_args(argv)
    everything = tuple(sorted(os.sched_getaffinity(0)))
    installs.compile_sources()
    counts = flags.cores or (1, len(everything))
    for cores in dict.fromkeys(everything[:count] for count in counts):
        apart = everything[-1] if len(cores) < len(everything) else None
        setting = Setting(
            installs.load_generator(), cores, apart, WARM, flags.seconds, flags.seconds
        )
        for asked in flags.models.split(","):
            model, _, form = asked.partition(":")
            workload = Workload(model, "answer", "0.3MP", CLIENTS)
            named = expected_labels(files.files(model), workload.size)
            found: dict[Layout, dict[int, list[dict[str, float]]]] = defaultdict(
                lambda: defaultdict(list)
            )
            for number, layout in interleaved(layouts(len(cores)), flags.rounds):
                print(f"{len(cores)} cores, {asked}, round {number + 1}: {layout}", file=sys.stderr)
                for clients, figures in measure(layout, form, workload, setting, named).items():
                    found[layout][clients].append(figures)
            print(f"\n{asked}, {len(cores)} core(s): workers x copies x threads\n")
            print(_table(found), flush=True)
    return 0


def _table(found: dict[Layout, dict[int, list[dict[str, float]]]]) -> str:
    heads = ["layout"]
    for clients in CLIENTS:
        heads += [f"images/s at {clients}", f"p50 ms at {clients}", f"p99 ms at {clients}"]
    heads += ["CPU ms per image", "memory MB"]
    lines: list[list[Cell]] = []
    for layout, by_clients in found.items():
        line: list[Cell] = [str(layout)]
        for clients in CLIENTS:
            line.extend(
                statistics.median(one[field] for one in by_clients[clients])
                for field in ("images_per_second", "p50_ms", "p99_ms")
            )
        last = by_clients[CLIENTS[-1]]
        line.append(1000 * statistics.median(one["cpu_seconds_per_image"] for one in last))
        line.append(max(one["memory_mb"] for one in last))
        lines.append(line)
    return table(heads, lines)


if __name__ == "__main__":
    sys.exit(main())
