"""The serving benchmark's order of work: who is measured when, and what is written down.

Contestants take turns within each round, and one that fails becomes a row that says so.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from bench import installs, paths
from bench.assets import files, pictures
from bench.assets.files import ModelFiles
from bench.assets.pictures import Picture
from bench.processes import free_port
from bench.schedule import interleaved
from bench.serving import raw
from bench.serving.cases import Workload
from bench.serving.contestants import LIMITS, OURS, PATIENCE, RAW, Contestant, Start
from bench.serving.measure import Failed, Setting, Subject, launch
from bench.turns import Taker, Turn

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
        overload: Whether to measure open loops too: ours in every round, others in the first.
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
        taker: Takes the turns.
    """

    def __init__(self, plan: Plan, taker: Taker) -> None:
        self._plan = plan
        self._taker = taker
        self._expected: dict[tuple[str, str], dict[str, str]] = {}

    def run(self) -> None:
        """Every round of every contestant, model by model."""
        for turn, contestant, asked in self._turns():
            if isinstance(contestant, str):
                self._taker.take(turn, partial(self._limit, turn, asked))
            else:
                self._taker.take(turn, partial(self._contestant, turn, contestant, asked))

    def expect_seconds(self) -> float:
        """How long the plan should take."""
        return sum(turn.seconds for turn, _, _ in self._turns())

    def _turns(self) -> Iterator[tuple[Turn, Contestant | str, list[Workload]]]:
        """Every turn in order, with who takes it (a limit by its name) and what it is asked."""
        items: list[Contestant | str] = [*LIMITS, *self._plan.contestants]
        for model in dict.fromkeys(workload.model for workload in self._plan.workloads):
            asked = [workload for workload in self._plan.workloads if workload.model == model]
            for number, contestant in interleaved(items, self._plan.rounds):
                offered = [workload for workload in asked if _does(contestant, workload)]
                if not offered:
                    continue
                name = contestant if isinstance(contestant, str) else contestant.name
                common = {
                    "bench": "serving",
                    "contestant": name,
                    "model": model,
                    "layout": self._plan.layout,
                    "round": number,
                }
                text = f"round {number + 1}/{self._plan.rounds}: {model}: {name}"
                turn = Turn(text, self._seconds(contestant, offered, number), common)
                yield turn, contestant, offered

    def _seconds(
        self, contestant: Contestant | str, offered: Sequence[Workload], number: int
    ) -> float:
        setting = self._plan.setting
        lengths = {w: setting.warm + setting.seconds * w.stretch + 0.4 for w in offered}
        if isinstance(contestant, str):
            return sum(lengths[workload] + 1 for workload in offered)
        measured = sum(len(w.concurrency) * lengths[w] for w in offered)
        open_loops = 0.0
        if self._opens(contestant, number):
            open_loops = 2 * setting.open_seconds + PATIENCE
        return START_GUESS + measured + open_loops

    def _opens(self, contestant: Contestant, number: int) -> bool:
        """Whether this contestant meets open loops in this round.

        What a peer does at three times its capacity is seen in one round; ours has a goal there.
        """
        return self._plan.overload and (number == 0 or contestant.name == OURS)

    def _start(self, model: ModelFiles, workload: Workload) -> Start:
        ports = (free_port(), free_port(), free_port())
        return Start(model, workload, ports, len(self._plan.setting.cores))

    def _limit(self, turn: Turn, asked: Sequence[Workload]) -> None:
        setting = self._plan.setting
        prepared_by = LIMITS[turn.common["contestant"]]
        model = files.files(turn.common["model"])
        for place, workload in enumerate(asked):
            shown = self._pictures(model, workload)
            counts = {len(setting.cores), 1} if 1 in workload.concurrency else {len(setting.cores)}
            for count in sorted(counts, reverse=True):
                found = raw.run(
                    self._start(model, workload),
                    setting.cores[:count],
                    [picture.path for picture in shown],
                    raw.Pace(prepared_by, setting.warm, setting.seconds * workload.stretch),
                )
                self._taker.add(
                    turn, kind="closed", **_case(workload), processes=count, **found.figures
                )
                if place == 0 and count == 1:
                    self._taker.add(turn, kind="start", seconds=round(found.start_seconds, 3))

    def _contestant(self, turn: Turn, contestant: Contestant, asked: Sequence[Workload]) -> None:
        setting = self._plan.setting
        model = files.files(turn.common["model"])
        first = self._pictures(model, asked[0])[0]
        label = self._label(model, asked[0], first)
        start = self._start(model, asked[0])
        with launch(contestant, start, setting) as running:
            subject = Subject(contestant, running, f"http://127.0.0.1:{start.ports[0]}", setting)
            seconds = subject.start_seconds(asked[0], first, label)
            self._taker.add(turn, kind="start", seconds=round(seconds, 3))
            best = 0.0
            for workload in asked:
                # One that is refused 12 megapixels may still be measured with fewer.
                work = partial(self._closed, turn, subject, model, workload)
                speed = self._taker.attempt(turn, _case(workload), work) or 0.0
                best = speed if workload == asked[0] else best
            if best and self._opens(contestant, turn.common["round"]):
                self._open_loops(turn, subject, model, asked[0], best)

    def _closed(self, turn: Turn, subject: Subject, model: ModelFiles, workload: Workload) -> float:
        """One measurement for each concurrency; gives the best images per second."""
        shown = self._pictures(model, workload)
        labels = [self._label(model, workload, picture) for picture in shown]
        wrong = subject.check(workload, shown, labels)
        speeds = []
        for clients in workload.concurrency:
            found = subject.closed(workload, shown, set(labels), clients)
            speeds.append(float(found["images_per_second"]))
            self._taker.add(
                turn, kind="closed", **_case(workload), concurrency=clients,
                wrong_pictures=wrong, **found,
            )  # fmt: skip
        return max(speeds)

    def _open_loops(
        self, turn: Turn, subject: Subject, model: ModelFiles, workload: Workload, best: float
    ) -> None:
        shown = self._pictures(model, workload)
        labels = {self._label(model, workload, picture) for picture in shown}
        for kind, share in (("steady", STEADY), ("overload", OVERLOAD)):
            found = subject.open_loop(workload, shown, labels, best * share)
            self._taker.add(turn, kind=kind, **_case(workload), capacity_per_second=best, **found)

    def _pictures(self, model: ModelFiles, workload: Workload) -> list[Picture]:
        """The pictures of this size in which the model sees something."""
        seen = self._seen(model, workload)
        return [picture for picture in pictures.prepare(workload.size) if picture.name in seen]

    def _label(self, model: ModelFiles, workload: Workload, picture: Picture) -> str:
        return self._seen(model, workload)[picture.name]

    def _seen(self, model: ModelFiles, workload: Workload) -> dict[str, str]:
        key = (model.name, workload.size)
        if key not in self._expected:
            self._expected[key] = expected_labels(model, workload.size)
        return self._expected[key]


def _does(contestant: Contestant | str, workload: Workload) -> bool:
    """Whether a server or a limit is measured with a workload."""
    if not isinstance(contestant, str):
        return contestant.does(workload)
    # Nothing but a server has the article's answer; only one limit needs to draw.
    return workload.task == "answer" or (workload.task == "annotate" and contestant == RAW)


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
