"""Goals are computed from rows of one run, round by round."""

from __future__ import annotations

from typing import Any

import pytest

from bench.control import subjects
from bench.engines.run import TENSORFLOW
from bench.record import Goal, Row
from bench.report.goals import RECOMMENDED, goals
from bench.serving.contestants import ARTICLES, BATCHING, OURS, RAW


def closed(contestant: str, speed: float, number: int = 0, **values: Any) -> Row:
    return {
        "bench": "serving",
        "kind": "closed",
        "contestant": contestant,
        "model": "detector",
        "task": "answer",
        "size": "0.3MP",
        "layout": "pinned",
        "round": number,
        "images_per_second": speed,
        "p50_ms": 1000 / speed,
        "memory_mb": 100,
        **({"processes": 1} if contestant == RAW else {"concurrency": 8}),
        **values,
    }


def named(found: list[Goal], start: str) -> Goal:
    (goal,) = [goal for goal in found if goal["name"].startswith(start)]
    return goal


def test_nothing_measured_is_nothing_met() -> None:
    assert all(goal["met"] is None and goal["ratio"] is None for goal in goals([]))


def test_the_best_concurrency_of_each_round_counts() -> None:
    rows = [
        closed(RAW, 100, 0),
        closed(RAW, 50, 1),
        closed(OURS, 60, 0, concurrency=1),
        closed(OURS, 95, 0, concurrency=8),
        closed(OURS, 47.5, 1, concurrency=8),
    ]
    goal = named(goals(rows), "detector 0.3MP: ours / raw engine")
    assert (goal["ratio"], goal["met"]) == (0.95, True)


def test_the_limit_is_the_one_with_a_process_a_core() -> None:
    rows = [closed(RAW, 100, processes=1), closed(RAW, 190, processes=2), closed(OURS, 171)]
    assert named(goals(rows), "detector 0.3MP: ours / raw engine")["ratio"] == 0.9


def test_the_best_peer_is_neither_the_limit_nor_the_articles() -> None:
    rows = [
        closed(RAW, 100),
        closed(OURS, 90),
        closed(BATCHING, 95),
        closed(ARTICLES, 99),
        closed("mosec", 80),
        closed("kserve", 60),
    ]
    goal = named(goals(rows), "detector 0.3MP: ours / best peer")
    assert goal["ratio"] == pytest.approx(1.125)
    assert "mosec" in goal["note"]


def test_only_the_pinned_layout_counts_where_there_is_one() -> None:
    rows = [
        closed(RAW, 100),
        closed(OURS, 95),
        closed(RAW, 100, layout="shared"),
        closed(OURS, 10, layout="shared"),
    ]
    assert named(goals(rows), "detector 0.3MP: ours / raw engine")["ratio"] == 0.95


def test_latency_is_compared_with_batching_on_and_one_client() -> None:
    rows = [
        closed(RAW, 100, task="annotate"),
        closed(BATCHING, 50, task="annotate", concurrency=8),
        closed(BATCHING, 80, task="annotate", concurrency=1),
    ]
    goal = named(goals(rows), "detector, one client")
    assert (goal["ratio"], goal["met"]) == (1.25, False)


@pytest.mark.parametrize(("same", "met"), [(12, True), (11, False)])
def test_a_fast_engine_must_agree_too(same: int, met: bool) -> None:
    common = {"bench": "engine", "kind": "engine", "model": "resnet50", "round": 0}
    agreement = {"photographs": 12, "pictures": 44, "same_top1_pictures": 40}
    rows: list[Row] = [
        {**common, "contestant": TENSORFLOW, "images_per_second": 20},
        {
            **common,
            **agreement,
            "contestant": RECOMMENDED,
            "images_per_second": 60,
            "same_top1_photographs": same,
        },
    ]
    goal = named(goals(rows), f"resnet50: {RECOMMENDED}")
    assert (goal["ratio"], goal["met"]) == (3.0, met)


@pytest.mark.parametrize(
    ("failed", "slowest", "met"), [(0, 20, True), (1, 20, False), (0, 500, False), (0, None, False)]
)
def test_goodput_needs_prompt_refusals(failed: int, slowest: float | None, met: bool) -> None:
    row = closed(OURS, 100, kind="overload")
    row |= {
        "goodput_per_second": 98,
        "capacity_per_second": 100,
        "failed": failed,
        "refused_p99_ms": slowest,
    }
    goal = named(goals([row]), "detector: goodput")
    assert (goal["ratio"], goal["met"]) == (0.98, met)


def test_the_operator_is_held_to_the_better_bare_client() -> None:
    common = {"bench": "operator", "services": 100}
    bare = {**common, "kind": "bare", "contestant": subjects.BARE, "with_resource": False}
    ours = {**common, "kind": "operator", "contestant": subjects.OURS}
    rows: list[Row] = [
        {**bare, "workers": 8, "per_second": 80},
        {**bare, "workers": 32, "per_second": 100},
        {**bare, "workers": 32, "per_second": 70, "with_resource": True},
        {**ours, "per_second": 90, "idle_writes": 0, "mb_per_1000": 20},
        {**ours, "services": 2000, "per_second": 72, "idle_writes": 2, "mb_per_1000": 9.5},
    ]
    found = goals(rows)
    assert named(found, "operator, 100 services")["ratio"] == 0.9
    assert named(found, "operator, 100 services")["note"].startswith("1.29")
    assert named(found, "operator: rate at 2000")["ratio"] == 0.8
    assert named(found, "operator: writes while idle")["met"] is False
    assert named(found, "operator: MB per 1000")["met"] is True
