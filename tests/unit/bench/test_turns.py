"""Turns: a failure is a row, an interrupted run goes on where it was."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest

from bench import cli
from bench.progress import Progress
from bench.record import Results
from bench.turns import Taker, Turn


def turn(contestant: str, number: int = 0) -> Turn:
    common = {"bench": "serving", "model": "detector", "contestant": contestant, "round": number}
    return Turn(f"{contestant} {number}", 1.0, common)


@pytest.fixture
def results(tmp_path: Path) -> Results:
    return Results(tmp_path / "results.json", {"commit": "abc", "plan": {"rounds": 3}})


@pytest.fixture
def taker(results: Results) -> Taker:
    return Taker(results, Progress(io.StringIO()))


def measured(results: Results) -> list[tuple[str, int, str]]:
    return [(row["contestant"], row["round"], row["kind"]) for row in results.rows]


@pytest.mark.parametrize(
    "error", [ValueError("no\nsuch tensor"), KeyError("took"), OSError("gone")]
)
def test_whatever_a_contestant_does_becomes_its_row(
    taker: Taker, results: Results, error: Exception
) -> None:
    def fail() -> None:
        raise error

    taker.take(turn("mosec"), fail)
    taker.take(turn("ours"), lambda: None)
    assert measured(results) == [
        ("mosec", 0, "error"),
        ("mosec", 0, "turn"),
        ("ours", 0, "turn"),
    ]
    assert results.rows[0]["error"].startswith(type(error).__name__)


def test_a_part_that_fails_leaves_the_others_measured(taker: Taker, results: Results) -> None:
    one = turn("kserve")

    def work() -> None:
        assert taker.attempt(one, {"size": "12MP"}, lambda: 1 // 0) is None
        assert taker.attempt(one, {"size": "2MP"}, lambda: 7) == 7
        taker.add(one, kind="closed", size="2MP")

    taker.take(one, work)
    assert [row.get("size") for row in results.rows] == ["12MP", "2MP", None]


def test_an_interrupt_ends_the_run(taker: Taker, results: Results) -> None:
    def interrupted() -> None:
        taker.add(turn("ours"), kind="start", seconds=1)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        taker.take(turn("ours"), interrupted)
    assert measured(results) == [("ours", 0, "start")]


def test_a_resumed_run_takes_what_was_cut_off_or_failed(taker: Taker, results: Results) -> None:
    taken: list[str] = []

    def fail() -> None:
        raise RuntimeError("no room")

    def take_all(who: Taker) -> None:
        for number, name in ((0, "raw engine"), (0, "ours"), (0, "mosec"), (1, "ours")):
            who.take(turn(name, number), lambda: taken.append(name))  # noqa: B023 (called at once)

    taker.take(turn("raw engine"), lambda: taken.append("raw engine"))
    taker.take(turn("ours"), fail)
    taker.add(turn("mosec"), kind="start", seconds=2)

    again = cli.begin(results.path, {"commit": "abc", "plan": {"rounds": 3}}, resume=True)
    assert measured(again) == [("raw engine", 0, "turn")]
    take_all(Taker(again, Progress(io.StringIO())))
    assert taken == ["raw engine", "ours", "mosec", "ours"]
    assert {row["kind"] for row in again.rows} == {"turn"}


@pytest.mark.parametrize(
    "changed", [{"commit": "def"}, {"plan": {"rounds": 2}}], ids=["commit", "flags"]
)
def test_a_run_of_something_else_is_not_gone_on_with(
    results: Results, changed: dict[str, Any]
) -> None:
    results.add(bench="serving", kind="turn", contestant="ours")
    with pytest.raises(SystemExit, match="start again without --resume"):
        cli.begin(results.path, {**results.machine, **changed}, resume=True)


def test_without_resume_a_run_starts_empty(results: Results) -> None:
    results.add(bench="serving", kind="turn", contestant="ours")
    assert cli.begin(results.path, {"commit": "abc"}, resume=False).rows == []


def test_what_is_skipped_is_not_waited_for(results: Results) -> None:
    results.add(**turn("ours").common, kind="turn", seconds=1)
    stream = io.StringIO()
    progress = Progress(stream, lambda: 0.0)
    progress.expect(100)
    taker = Taker(results, progress)
    taker.take(Turn("ours again", 60, turn("ours").common), lambda: None)
    taker.take(turn("mosec"), lambda: None)
    assert stream.getvalue().splitlines() == ["[   40 s left] mosec 0"]
