"""Runs contestants side by side and takes their turns; what is decided from them is elsewhere."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import Any

from bench import installs
from bench.assets import files, pictures
from bench.assets.pictures import Picture
from bench.paired.turns import PairedTurn, order
from bench.processes import free_port, stop
from bench.serving.cases import Workload
from bench.serving.contestants import Contestant, Start
from bench.serving.measure import Setting, Subject, launch
from bench.serving.run import expected_labels


@dataclass(frozen=True)
class Plan:
    """What to measure.

    Attributes:
        workload: What is asked.
        clients: How many ask at once.
        contestants: Who is asked.
        rounds: How many turns each.
        seed: Of the order.
        setting: How long, on which cores.
    """

    workload: Workload
    clients: int
    contestants: Sequence[Contestant]
    rounds: int
    seed: int
    setting: Setting

    @property
    def case(self) -> str:
        """Its name in the table."""
        plural = "" if self.clients == 1 else "s"
        return f"{self.workload.name}, {self.clients} client{plural}"


class RawLoop:
    """The bare engine, one process on each core; made by `raw_loop`."""

    def __init__(self, processes: Sequence[subprocess.Popen[bytes]]) -> None:
        self._processes = processes

    def turn(self, seconds: float) -> tuple[float, float]:
        """Images per second of all processes, and CPU milliseconds for an image."""
        for process in self._processes:
            assert process.stdin is not None
            process.stdin.write(f"{seconds}\n".encode())
            process.stdin.flush()
        found = [read_line(process) for process in self._processes]
        speed = sum(one["images"] / one["seconds"] for one in found)
        spent = sum(one["cpu"] for one in found) / sum(one["images"] for one in found)
        return speed, spent * 1000


def read_line(process: subprocess.Popen[bytes]) -> dict[str, Any]:
    """The next line of JSON that a process prints.

    Raises:
        RuntimeError: It ended instead; its own words are on standard error.
    """
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        raise RuntimeError("the bare engine's loop ended before its turn")
    answer: dict[str, Any] = json.loads(line)
    return answer


@contextmanager
def raw_loop(start: Start, cores: Sequence[int], shown: Sequence[Picture]) -> Iterator[RawLoop]:
    """The bare engine with Pillow, ready for its turns; stopped afterwards."""
    python = installs.python("engine")
    command = [str(python), "-m", "bench.peers.raw_turns", *(str(one.path) for one in shown)]
    environment = {**os.environ, **start.variables(), "BENCH_PICTURES": "pillow"}
    processes = [
        subprocess.Popen(
            ["taskset", "-c", str(core), *command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
            start_new_session=True,
        )
        for core in cores
    ]
    try:
        for process in processes:
            read_line(process)
        yield RawLoop(processes)
    finally:
        for process in processes:
            stop(process, deadline=5)
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    pipe.close()


def measure(plan: Plan) -> list[PairedTurn]:
    """Every contestant's turns.

    Raises:
        Failed: A contestant does not start, answer right or offer the workload.
    """
    model = files.files(plan.workload.model)
    named = expected_labels(model, plan.workload.size)
    shown = [one for one in pictures.prepare(plan.workload.size) if one.name in named]
    with ExitStack() as stack:
        subjects: dict[str, Subject] = {}
        for contestant in plan.contestants:
            ports = (free_port(), free_port(), free_port())
            start = Start(model, plan.workload, ports, len(plan.setting.cores))
            running = stack.enter_context(launch(contestant, start, plan.setting))
            subject = Subject(contestant, running, f"http://127.0.0.1:{ports[0]}", plan.setting)
            subject.start_seconds(plan.workload, shown[0], named[shown[0].name])
            subjects[contestant.name] = subject
        start = Start(model, plan.workload, (0, 0, 0), len(plan.setting.cores))
        raw = stack.enter_context(raw_loop(start, plan.setting.cores, shown))
        return list(_turns(plan, subjects, raw, shown, set(named.values())))


def _turns(
    plan: Plan,
    subjects: dict[str, Subject],
    raw: RawLoop,
    shown: Sequence[Picture],
    labels: set[str],
) -> Iterator[PairedTurn]:
    seconds = plan.setting.seconds * plan.workload.stretch
    one_clients = replace(plan.workload, concurrency=(plan.clients,))
    before = raw.turn(seconds)
    for number, name in order(list(subjects), plan.rounds, plan.seed):
        found = subjects[name].closed(one_clients, shown, labels, plan.clients)
        after = raw.turn(seconds)
        if not found["images_per_second"] or not found["cpu_seconds_per_image"]:
            # The CPU is counted in hundredths of a second: of a machine that is busy, it got none.
            print(f"{plan.case}: {name} answered nothing right in a turn", file=sys.stderr)
        else:
            yield PairedTurn(
                case=plan.case,
                round=number,
                contestant=name,
                images_per_second=found["images_per_second"],
                cpu_ms=found["cpu_seconds_per_image"] * 1000,
                raw_before=before[0],
                raw_after=after[0],
                raw_cpu_ms=(before[1] + after[1]) / 2,
                others_busy=found["others_busy"],
            )
        print(f"round {number + 1}/{plan.rounds}: {name}", file=sys.stderr)
        before = after
