"""Tables and plots."""

from __future__ import annotations

from itertools import pairwise
from typing import Any
from xml.etree import ElementTree

import pytest

from bench.report import svg
from bench.report.goals import goals
from bench.report.markdown import shown, table
from bench.report.plots import plots
from bench.report.table import page
from bench.serving.contestants import OURS, RAW

SVG = "{http://www.w3.org/2000/svg}"


def texts(drawing: str) -> list[str]:
    root = ElementTree.fromstring(drawing)  # noqa: S314 (our own text)
    return [element.text or "" for element in root.iter(f"{SVG}text")]


def test_a_table_lines_up() -> None:
    assert table(["who", "n"], [["a|b", 1234.5], ["c", None]]) == (
        "| who | n |\n| --- | ---: |\n| a\\|b | 1234 |\n| c |  |\n"
    )
    with pytest.raises(ValueError, match="1 cells under 2 heads"):
        table(["who", "n"], [["a"]])


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.123456, "0.123"), (12.345, "12.3"), (1234.5, "1234"), (7, "7"), (None, "")],
)
def test_cells_have_three_digits(value: float | None, text: str) -> None:
    assert shown(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (0.01, "0.01"), (0.3, "0.3"), (1, "1"), (12.34, "12.3"), (1234.5, "1234")],
)
def test_numbers_in_plots_are_short(value: float, text: str) -> None:
    assert svg.number(value) == text


def test_bars_are_as_long_as_their_values() -> None:
    drawing = svg.bars("a < b", "per second", [svg.Bar("one", 50), svg.Bar("two", 100, "note")])
    root = ElementTree.fromstring(drawing)  # noqa: S314
    _, first, second = root.iter(f"{SVG}rect")
    assert float(first.get("width", 0)) * 2 == pytest.approx(
        float(second.get("width", 0)), rel=0.01
    )
    assert {"a < b", "one", "two", "100  note"} <= set(texts(drawing))


def test_lines_stay_inside_their_frame() -> None:
    series = {"ours": [(1.0, 5.0), (32.0, 80.0)], "theirs": [(1.0, 6.0), (32.0, 4000.0)]}
    root = ElementTree.fromstring(svg.lines("latency", ("clients", "ms"), series))  # noqa: S314
    for circle in root.iter(f"{SVG}circle"):
        assert 70 <= float(circle.get("cx", 0)) <= 570
        assert 50 <= float(circle.get("cy", 0)) <= 370


def test_names_at_the_ends_of_lines_do_not_cover_each_other() -> None:
    series = {name: [(1.0, 10.0), (2.0, 10.0)] for name in "abcd"}
    root = ElementTree.fromstring(svg.lines("t", ("x", "y"), series))  # noqa: S314
    places = sorted(
        float(element.get("y", 0))
        for element in root.iter(f"{SVG}text")
        if element.text in {*"abcd"}
    )
    assert all(below - above >= 15 for above, below in pairwise(places))


def rows() -> list[dict[str, Any]]:
    common = {"bench": "serving", "layout": "pinned", "model": "detector", "round": 0}
    case = {**common, "task": "answer", "size": "0.3MP", "kind": "closed"}
    figures = {"p50_ms": 5.0, "p99_ms": 9.0, "cpu_seconds_per_image": 0.004, "memory_mb": 90.0}
    return [
        {**case, **figures, "contestant": RAW, "processes": 1, "images_per_second": 200.0},
        *(
            {**case, **figures, "contestant": name, "concurrency": clients, "images_per_second": s}
            for name, clients, s in ((OURS, 1, 150.0), (OURS, 8, 190.0), ("mosec", 8, 170.0))
        ),
        {**common, "contestant": OURS, "kind": "start", "seconds": 0.9},
        {**common, "contestant": "ray serve", "kind": "error", "error": "no\nroom | here"},
        {
            **case,
            "kind": "overload",
            "contestant": OURS,
            "goodput_per_second": 180.0,
            "capacity_per_second": 190.0,
            "failed": 0,
            "requests": 100,
            "refused_p99_ms": 3.0,
            "p99_ms": 400.0,
        },
    ]


def test_the_page_holds_goals_figures_and_failures() -> None:
    found = rows()
    text = page(goals(found), found, {"cpu": "a CPU", "cores": 2}, {})
    lines = text.splitlines()
    assert (
        "| detector 0.3MP: ours / raw engine, images per second | 0.95 | >= 0.9 | yes |  |" in lines
    )
    assert any(
        line.startswith("| ours | 150 | 190 | 5 / 9 | 5 / 9 | 4 | 90 | 0.9 |  | 0.947")
        for line in lines
    )
    # The limit first, then by speed.
    served = [
        line.split(" | ")[0] for line in lines if line.startswith(("| raw", "| ours", "| mosec"))
    ]
    assert served == ["| raw engine", "| ours", "| mosec"]
    assert "- serving: ray serve, detector: no room | here" in lines


def test_a_run_is_drawn_by_model() -> None:
    drawn = plots(rows())
    assert set(drawn) == {"serving-detector.svg", "latency-detector.svg", "overload-detector.svg"}
    assert "190" in texts(drawn["serving-detector.svg"])
    assert plots([]) == {}
