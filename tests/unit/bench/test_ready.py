"""What a line of a watch shows, and how rounds become a table."""

from __future__ import annotations

import pytest

from bench.ready import STEPS, reached, table


@pytest.mark.parametrize(
    ("kind", "line", "steps"),
    [
        ("service", "", []),
        ("service", "False", []),
        ("service", "True", ["service is Ready"]),
        ("deployment", "a-predictor", ["Deployment is there"]),
        ("pod", "a,,,", ["pod is there"]),
        ("pod", "a,local,,False", ["pod is there", "pod has a node"]),
        (
            "pod",
            "a,local,2026-01-01T00:00:00Z,True",
            ["pod is there", "pod has a node", "container runs", "pod is ready"],
        ),
    ],
)
def test_a_line_shows_how_far_it_has_come(kind: str, line: str, steps: list[str]) -> None:
    assert reached(kind, line) == steps


def test_each_step_is_told_with_its_own_share() -> None:
    rounds = [{step: number * scale for number, step in enumerate(STEPS)} for scale in (1, 2, 3)]
    rows = table(rounds).splitlines()
    assert rows[0] == "| apply returned | 0.00 | 0.00 |"
    assert rows[-1] == "| service is Ready | 12.00 | 2.00 |"
