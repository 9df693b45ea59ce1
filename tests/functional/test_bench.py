"""The benchmark itself runs, and its numbers add up; whether they are good is not asked here."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

# One measurement is made for the whole module, and two at once would measure each other.
pytestmark = pytest.mark.xdist_group("bench")

TESTS = Path(__file__).resolve().parent.parent
WORKLOAD = "detector answer 0.3MP"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The results of one short run of our server against the limit."""
    output = tmp_path_factory.mktemp("bench")
    command = [
        *(sys.executable, "-m", "bench", "--only", "serving", "--contestants", "ours"),
        *("--workloads", WORKLOAD, "--rounds", "1", "--seconds", "3", "--warm", "0.3"),
        *("--output", str(output)),
    ]
    answer = subprocess.run(command, cwd=TESTS, capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stderr
    document: dict[str, Any] = json.loads((output / "results.json").read_text(encoding="utf-8"))
    document["folder"] = output
    return document


def of_kind(run: dict[str, Any], contestant: str, kind: str) -> list[dict[str, Any]]:
    return [row for row in run["rows"] if (row["contestant"], row["kind"]) == (contestant, kind)]


def test_nobody_failed(run: dict[str, Any]) -> None:
    assert [row for row in run["rows"] if row["kind"] == "error"] == []


def test_every_answer_is_accounted_for(run: dict[str, Any]) -> None:
    asked = of_kind(run, "ours", "closed")
    assert {row["concurrency"] for row in asked} == {1, 2, 8, 32}
    for row in asked:
        assert row["wrong_pictures"] == row["wrong"] == 0
        assert row["memory_mb"] > 10
        assert (row["p50_ms"] or 0) <= (row["p99_ms"] or 0)
    assert sum(row["images"] for row in asked) > 0
    for row in of_kind(run, "ours", "overload"):
        good = row["goodput_per_second"] * 3.0
        assert good + row["refused"] + row["failed"] <= row["requests"] + 1


def test_goals_are_the_quotients_of_the_rows(run: dict[str, Any]) -> None:
    (limit,) = of_kind(run, "raw engine", "closed")
    best = max(row["images_per_second"] for row in of_kind(run, "ours", "closed"))
    (goal,) = [g for g in run["goals"] if g["name"].startswith("detector 0.3MP: ours / raw")]
    assert goal["ratio"] == pytest.approx(best / limit["images_per_second"], abs=0.001)
    assert goal["met"] is (goal["ratio"] >= 0.9)


def test_table_and_plots_are_written_beside_the_results(run: dict[str, Any]) -> None:
    table = (run["folder"] / "BENCHMARKS.md").read_text(encoding="utf-8")
    assert "| raw engine |" in table
    assert (run["folder"] / "plots" / "serving-detector.svg").is_file()
