"""The command line and its plan."""

from __future__ import annotations

import io
import signal

import pytest

from bench import cli, installs
from bench.progress import Progress, duration
from bench.serving import cases, contestants
from bench.serving.cases import Workload


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--only", "nothing"], "engine, serving, operator"),
        (["--only", "serving", "--contestants", "nobody"], "mosec"),
        (["--only", "serving", "--workloads", "detector dance"], "detector answer 0.3MP"),
    ],
)
def test_wrong_names_say_which_there_are(
    flags: list[str], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(installs, "load_generator", lambda: None)
    with pytest.raises(SystemExit, match=said):
        cli.main(flags)


def test_a_second_signal_does_not_cut_off_the_cleaning_up() -> None:
    cleaned = []

    def work() -> None:
        try:
            signal.raise_signal(signal.SIGTERM)
        finally:
            signal.raise_signal(signal.SIGTERM)
            cleaned.append(True)

    before = signal.signal(signal.SIGTERM, cli.end_once)
    try:
        with pytest.raises(SystemExit, match="SIGTERM"):
            work()
    finally:
        signal.signal(signal.SIGTERM, before)
    assert cleaned


def test_quick_is_ours_and_the_limits() -> None:
    names = {contestant.name for contestant in contestants.chosen("ours,mosec")}
    assert names == {"ours", "mosec"}
    assert {workload.task for workload in cases.QUICK} == {"answer", "annotate"}
    assert cases.chosen("detector answer 2MP", cases.FULL) == (cases.FULL[1],)


def test_every_contestant_has_requirements_and_a_task() -> None:
    for contestant in contestants.ALL:
        assert not contestant.environment or contestant.environment in installs.names()
        assert any(contestant.does(workload) for workload in cases.FULL), contestant.name


def test_batching_is_only_asked_where_it_is_a_goal() -> None:
    (batching,) = contestants.chosen(contestants.BATCHING)
    assert batching.does(Workload("detector", "annotate", "0.3MP"))
    assert not batching.does(Workload("detector", "answer", "12MP"))


@pytest.mark.parametrize(
    ("seconds", "text"), [(5, "5 s"), (89.4, "89 s"), (120, "2 min"), (3900, "1 h 05 min")]
)
def test_durations_are_said_as_people_do(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_progress_learns_the_machines_pace() -> None:
    clock = iter([0.0, 0.0, 40.0])
    stream = io.StringIO()
    progress = Progress(stream, lambda: next(clock))
    progress.expect(100)
    progress.step("first", 20)
    # 20 planned seconds took 40, so the 80 that are left will take 160.
    progress.step("second", 80)
    first, second = stream.getvalue().splitlines()
    assert "2 min left" in first
    assert "3 min left" in second
