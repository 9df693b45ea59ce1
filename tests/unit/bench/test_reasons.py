"""Reasons for missed goals: each miss has one, none outlives its figure."""

from __future__ import annotations

import re

import pytest

from bench import paths
from bench.record import Goal
from bench.report import reasons
from bench.report.reasons import Reason
from bench.report.table import page

LONG = "JSON of the annotated picture takes 40 % of the CPU time (py-spy); needs another encoder."


def goal(name: str, ratio: float | None, met: bool | None) -> Goal:
    return {"name": name, "ratio": ratio, "goal": ">= 1", "met": met, "note": ""}


GOALS = [goal("fast", 1.2, True), goal("small", 0.8, False), goal("idle", None, None)]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, ["small: missed with 0.8, and no reason"]),
        ({"small": Reason(0.8, LONG)}, []),
        ({"small": Reason(0.72, LONG)}, []),
        ({"small": Reason(0.5, LONG)}, ["small: the reason is for 0.5, but 0.8"]),
        ({"small": Reason(0.8, LONG), "fast": Reason(0.9, LONG)}, ["fast: it is met"]),
        ({"small": Reason(0.8, LONG), "old": Reason(0.9, LONG)}, ["there is no goal 'old'"]),
        ({"small": Reason(0.8, LONG), "idle": Reason(0.9, LONG)}, []),
    ],
)
def test_a_reason_belongs_to_a_miss_and_to_its_figure(
    given: dict[str, Reason], said: list[str]
) -> None:
    found = reasons.problems(GOALS, given)
    assert len(found) == len(said)
    assert all(line.startswith(start) for line, start in zip(sorted(found), said, strict=True))


def test_reasons_are_read() -> None:
    text = f'["a goal"]\nratio = 0.5\nreason = """\n{LONG[:30]}\n  {LONG[30:]}"""\n'
    assert reasons.parse(text)["a goal"].ratio == 0.5
    assert "\n" not in reasons.parse(text)["a goal"].text


@pytest.mark.parametrize(
    "text", ["small = 1", "[small]\nratio = 1", f'[small]\nratio = 1\nreason = "{"because"}"']
)
def test_a_reason_that_explains_nothing_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="small"):
        reasons.parse(text)


def test_the_page_says_why_each_goal_is_missed() -> None:
    text = page(GOALS, [], {}, {"small": Reason(0.8, LONG)})
    assert f"- **small** (0.8, wanted >= 1): {LONG}" in text
    assert "**fast**" not in text
    assert "no reason is written yet" in page(GOALS, [], {}, {})


def test_the_published_table_and_the_reasons_agree() -> None:
    """A table that says `no` needs its reason, a reason needs its `no`."""
    given = reasons.parse(paths.REASONS.read_text(encoding="utf-8"))
    published = paths.TABLE.read_text(encoding="utf-8") if paths.TABLE.exists() else ""
    row = re.compile(r"^\| (.+?) \| (\S+) \| [<>]=? \S+ \| \*\*no\*\* \|", re.MULTILINE)
    missed = {name: float(ratio) for name, ratio in row.findall(published)}
    assert given.keys() == missed.keys()
    for name, ratio in missed.items():
        assert given[name].ratio == pytest.approx(ratio, rel=reasons.TOLERANCE)
        assert given[name].text in published
