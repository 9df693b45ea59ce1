"""The serving benchmark's order of work: who is measured when, and what is written down.

Contestants take turns within each round, and one that fails becomes a row that says so.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from bench import installs, paths
from bench.assets import files, pictures
from bench.assets.files import ModelFiles, NotMade
from bench.assets.pictures import Picture
from bench.processes import free_port
from bench.progress import Progress
from bench.record import Results
from bench.schedule import interleaved
from bench.serving import raw
from bench.serving.cases import Workload
from bench.serving.contestants import RAW, Contestant, Start
from bench.serving.measure import Failed, Setting, Subject, launch

START_GUESS = 8.0
OVERLOAD = 3.0
STEADY = 0.7


@dataclass(frozen=True)
class Plan:
    """What to measure.

    Attributes:
        workloads: What is asked.
        contestants: Who is asked, the limit aside.
        rounds: How often each.
        setting: How.
        layout: ``pinned`` when the load generator has a core of its own, else ``shared``.
        overload: Whether to measure open loops too.
    """

    workloads: Sequence[Workload]
    contestants: Sequence[Contestant]
    rounds: int
    setting: Setting
    layout: str
    overload: bool = True


class ServingBench:
    """Runs a plan and writes rows.

    Args:
        plan: What to measure.
        results: Takes the rows.
        progress: Tells a person.
    """

    def __init__(self, plan: Plan, results: Results, progress: Progress) -> None:
        self._plan = plan
        self._results = results
        self._progress = progress
        self._expected: dict[tuple[str, str], dict[str, str]] = {}

    def run(self) -> None:
        """Every round of every contestant, model by model."""
        for model in dict.fromkeys(workload.model for workload in self._plan.workloads):
            asked = [workload for workload in self._plan.workloads if workload.model == model]
            self._model(files.files(model), asked)

    def expect_seconds(self) -> float:
        """How long the plan should take."""
        return (
            sum(
                self._seconds(contestant, [w for w in self._plan.workloads if w.model == model])
                for model in {workload.model for workload in self._plan.workloads}
                for contestant in (None, *self._plan.contestants)
            )
            * self._plan.rounds
        )

    def _seconds(self, contestant: Contestant | None, asked: Sequence[Workload]) -> float:
        one = self._plan.setting.warm + self._plan.setting.seconds + 0.5
        if contestant is None:
            return len(asked) * (one + 1)
        offered = [workload for workload in asked if contestant.does(workload)]
        if not offered:
            return 0.0
        measured = sum(len(workload.concurrency) for workload in offered)
        open_loops = 2 * self._plan.setting.seconds + 3 if self._plan.overload else 0
        return START_GUESS + measured * one + open_loops

    def _model(self, model: ModelFiles, asked: Sequence[Workload]) -> None:
        for size in dict.fromkeys(workload.size for workload in asked):
            self._expected[model.name, size] = expected_labels(model, size)
        items: list[Contestant | None] = [None, *self._plan.contestants]
        for number, contestant in interleaved(items, self._plan.rounds):
            offered = [w for w in asked if contestant is None or contestant.does(w)]
            name = contestant.name if contestant else RAW
            if not offered:
                continue
            self._progress.step(
                f"round {number + 1}/{self._plan.rounds}: {model.name}: {name}",
                self._seconds(contestant, asked),
            )
            common = {
                "bench": "serving",
                "contestant": name,
                "model": model.name,
                "layout": self._plan.layout,
                "round": number,
            }
            try:
                if contestant is None:
                    self._raw(model, offered, common)
                else:
                    self._contestant(contestant, model, offered, common)
            except (Failed, NotMade, installs.NotInstalled, RuntimeError, OSError) as error:
                self._results.add(**common, kind="error", error=str(error)[:800])
                self._progress.say(f"{name} failed: {str(error)[:300]}")

    def _start(self, model: ModelFiles, workload: Workload) -> Start:
        ports = (free_port(), free_port(), free_port())
        return Start(model, workload, ports, len(self._plan.setting.cores))

    def _raw(self, model: ModelFiles, asked: Sequence[Workload], common: dict[str, Any]) -> None:
        setting = self._plan.setting
        for place, workload in enumerate(asked):
            if workload.task == "article":
                continue
            shown = self._pictures(model, workload)
            counts = {len(setting.cores), 1} if 1 in workload.concurrency else {len(setting.cores)}
            for count in sorted(counts, reverse=True):
                found = raw.run(
                    self._start(model, workload),
                    setting.cores[:count],
                    [picture.path for picture in shown],
                    setting.warm,
                    setting.seconds,
                )
                self._results.add(
                    **common, kind="closed", **_case(workload), processes=count, **found.figures
                )
                if place == 0 and count == 1:
                    self._results.add(**common, kind="start", seconds=round(found.start_seconds, 3))

    def _contestant(
        self,
        contestant: Contestant,
        model: ModelFiles,
        asked: Sequence[Workload],
        common: dict[str, Any],
    ) -> None:
        setting = self._plan.setting
        start = self._start(model, asked[0])
        with launch(contestant, start, setting) as running:
            subject = Subject(contestant, running, f"http://127.0.0.1:{start.ports[0]}", setting)
            first = self._pictures(model, asked[0])[0]
            seconds = subject.start_seconds(asked[0], first, self._label(model, asked[0], first))
            self._results.add(**common, kind="start", seconds=round(seconds, 3))
            best = 0.0
            for workload in asked:
                shown = self._pictures(model, workload)
                labels = [self._label(model, workload, picture) for picture in shown]
                wrong = subject.check(workload, shown, labels)
                for clients in workload.concurrency:
                    found = subject.closed(workload, shown, set(labels), clients)
                    self._results.add(
                        **common, kind="closed", **_case(workload), concurrency=clients,
                        wrong_pictures=wrong, **found,
                    )  # fmt: skip
                    if workload == asked[0]:
                        best = max(best, found["images_per_second"])
            if self._plan.overload and best:
                self._open_loops(subject, model, asked[0], best, common)

    def _open_loops(
        self,
        subject: Subject,
        model: ModelFiles,
        workload: Workload,
        best: float,
        common: dict[str, Any],
    ) -> None:
        shown = self._pictures(model, workload)
        labels = {self._label(model, workload, picture) for picture in shown}
        for kind, share in (("steady", STEADY), ("overload", OVERLOAD)):
            found = subject.open_loop(workload, shown, labels, best * share)
            self._results.add(
                **common, kind=kind, **_case(workload), capacity_per_second=best, **found
            )

    def _pictures(self, model: ModelFiles, workload: Workload) -> list[Picture]:
        """The pictures of this size in which the model sees something."""
        seen = self._expected[model.name, workload.size]
        return [picture for picture in pictures.prepare(workload.size) if picture.name in seen]

    def _label(self, model: ModelFiles, workload: Workload, picture: Picture) -> str:
        return self._expected[model.name, workload.size][picture.name]


def _case(workload: Workload) -> dict[str, str]:
    return {"task": workload.task, "size": workload.size}


def expected_labels(model: ModelFiles, size: str) -> dict[str, str]:
    """What the bare engine sees first in each picture of a size, by the picture's name.

    Raises:
        Failed: It sees nothing in any of them.
    """
    shown = pictures.prepare(size)
    variables = {
        "BENCH_KIND": model.kind,
        "BENCH_MODEL": str(model.recommended),
        "BENCH_LABELS": str(model.labels),
        "BENCH_THREADS": "1",
        "PYTHONPATH": str(paths.HERE.parent),
    }
    answer = subprocess.run(
        [
            *(str(installs.python("engine")), "-m", "bench.vision.expect"),
            *(str(picture.path) for picture in shown),
        ],
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        check=False,
    )
    if answer.returncode:
        raise Failed(f"the bare engine failed: {answer.stderr.strip()[-500:]}")
    seen = json.loads(answer.stdout.strip().splitlines()[-1])
    named = {p.name: labels[0] for p, labels in zip(shown, seen, strict=True) if labels}
    if not named:
        raise Failed(f"{model.name} sees nothing in any picture of {size}")
    return named
