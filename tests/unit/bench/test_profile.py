"""The profile's arithmetic: what each part adds to the one before."""

import pytest

from bench.profile import STAGES, CpuContext, Rounds, repeated


def test_parts_are_differences_of_the_lowest_and_of_the_median_rounds() -> None:
    rounds = Rounds()
    for name in (*STAGES, "rest"):
        for value in (1.0, 3.0, 2.0):
            rounds.add(name, value)
    for less, wsgi, served in ((2.0, 2.5, 3.0), (4.0, 5.0, 6.5), (3.0, 4.0, 5.0)):
        rounds.add("detect without inference", less)
        rounds.add("wsgi", wsgi)
        rounds.add("served", served)
    assert rounds.rows() == [
        *([name, 1.0, 2.0] for name in STAGES),
        ["rest of detect()", 1.0, 2.0],
        ["Flask and our hooks", 0.5, 1.0],
        ["gunicorn, sockets", 0.5, 1.0],
    ]


def test_a_call_is_measured_over_many() -> None:
    clock = iter([10.0, 10.5])
    calls: list[int] = []
    assert repeated(lambda: calls.append(1), lambda: next(clock)) == pytest.approx(500 / len(calls))
    assert calls


def test_stages_are_measured_in_cpu_time() -> None:
    context = CpuContext()
    for _ in range(2):
        with context.stage("decode"):
            sum(range(100_000))
    assert 0 < context.stages["decode"] < 5
