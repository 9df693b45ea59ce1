"""The paired benchmark: its order, its intervals, its verdicts and its part of the page."""

import random
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.machine import processor_class
from bench.paired import figures, verdict
from bench.paired.turns import PairedTurn, order
from bench.stats import Interval, ratio_interval, student_t

TURN = PairedTurn(
    case="detector answer 0.3MP, 1 client", round=0, contestant="ours", images_per_second=50.0,
    cpu_ms=20.0, raw_before=50.0, raw_after=50.0, raw_cpu_ms=20.0, others_busy=0.0,
)  # fmt: skip


def race(speeds: dict[str, float], rounds: int = 12, seed: int = 1) -> list[PairedTurn]:
    """Turns on a machine whose own speed doubles from one moment to the next, with 1 % of noise."""
    drawn = random.Random(seed)
    turns = []
    for number, name in order(list(speeds), rounds, seed):
        moment = drawn.uniform(30, 60)
        speed = moment * speeds[name] * drawn.gauss(1, 0.01)
        turns.append(
            replace(
                TURN, round=number, contestant=name, images_per_second=speed,
                raw_before=moment, raw_after=moment, cpu_ms=1000 / moment / speeds[name],
                raw_cpu_ms=1000 / moment,
            )
        )  # fmt: skip
    return turns


@pytest.mark.parametrize(
    ("degrees", "confidence", "expected"),
    [
        (1, 0.95, 12.7062),
        (2, 0.95, 4.30265),
        (3, 0.95, 3.18245),
        (9, 0.95, 2.26216),
        (9, 0.99, 3.24984),
        (10, 0.9, 1.81246),
        (29, 0.95, 2.04523),
        (30, 0.95, 2.04227),
        (1000, 0.95, 1.96234),
    ],
)
def test_students_t_as_the_tables_have_it(degrees: int, confidence: float, expected: float) -> None:
    assert student_t(degrees, confidence) == pytest.approx(expected, abs=2e-5)


@pytest.mark.parametrize(("degrees", "confidence"), [(0, 0.95), (5, 0.0), (5, 1.0)])
def test_students_t_of_nothing(degrees: int, confidence: float) -> None:
    with pytest.raises(ValueError, match="degrees of freedom"):
        student_t(degrees, confidence)


def test_an_interval_worked_by_hand() -> None:
    """Logarithms 0.1, 0.2, 0.3: mean 0.2, standard error 0.1 / sqrt(3), t 4.30265."""
    interval = ratio_interval([1.1051709, 1.2214028, 1.3498588])
    assert interval.ratio == pytest.approx(1.2214028)
    assert interval.low == pytest.approx(0.952744, abs=1e-5)
    assert interval.high == pytest.approx(1.565826, abs=1e-5)
    assert interval.pairs == 3


def test_an_interval_is_right_as_often_as_it_says() -> None:
    drawn = random.Random(7)
    held = 0
    for _ in range(1000):
        found = ratio_interval([1.02 * 2 ** drawn.gauss(0, 0.05) for _ in range(8)])
        held += found.low <= 1.02 <= found.high
    assert 930 <= held <= 970


def test_one_pair_says_nothing() -> None:
    assert ratio_interval([1.5]) == Interval(1.5, 0.0, float("inf"), 1)


@pytest.mark.parametrize("ratios", [[], [1.0, 0.0], [1.0, -2.0]])
def test_ratios_that_are_none(ratios: list[float]) -> None:
    with pytest.raises(ValueError, match="above 0"):
        ratio_interval(ratios)


@given(st.lists(st.floats(0.01, 100), min_size=2, max_size=20))
def test_a_ratio_turned_over_has_the_interval_turned_over(ratios: list[float]) -> None:
    one, other = ratio_interval(ratios), ratio_interval([1 / ratio for ratio in ratios])
    assert one.low <= one.ratio * (1 + 1e-9)
    assert one.ratio <= one.high * (1 + 1e-9)
    assert other.low == pytest.approx(1 / one.high)
    assert other.high == pytest.approx(1 / one.low)


def test_everybody_once_a_round_in_an_order_that_changes_and_can_be_repeated() -> None:
    names = ["a", "b", "c", "d"]
    plan = order(names, 30, 5)
    rounds = [tuple(name for number, name in plan if number == wanted) for wanted in range(30)]
    assert all(sorted(one) == names for one in rounds)
    assert len(set(rounds)) > 10
    assert plan == order(names, 30, 5) != order(names, 30, 6)
    with pytest.raises(ValueError, match="at least one"):
        order(names, 0, 5)


def test_two_percent_are_told_apart_on_a_machine_that_doubles_its_speed() -> None:
    turns = race({"ours": 1.02, "other": 1.0})
    assert verdict.place(turns, "ours", ["other"]) == "first"
    assert verdict.place(turns, "other", ["ours"]) == "behind ours"
    assert verdict.to_raw(turns, "ours", verdict.speed).ratio == pytest.approx(1.02, abs=0.01)
    assert verdict.to_raw(turns, "ours", verdict.thrift).ratio == pytest.approx(1.02, abs=1e-9)


def test_equals_are_called_level_nearly_always() -> None:
    said = [
        verdict.place(race({"ours": 1.0, "b": 1.0, "c": 1.0}, seed=seed), "ours", ["b", "c"])
        for seed in range(200)
    ]
    assert sum(one == "first" for one in said) <= 4
    assert sum(one.startswith("level with") for one in said) >= 185


def test_first_needs_every_rival_behind() -> None:
    turns = race({"ours": 1.05, "b": 1.0, "c": 1.05})
    assert verdict.place(turns, "ours", ["b", "c"]) == "level with c"
    assert verdict.place(turns, "b", ["ours", "c"]) == "behind ours, c"
    assert verdict.place(turns, "ours", []) == ""


def test_rounds_that_one_of_two_missed_do_not_count() -> None:
    turns = race({"ours": 1.05, "b": 1.0})
    some = [turn for turn in turns if turn.contestant == "ours" or turn.round < 4]
    assert verdict.to_other(some, "ours", "b", verdict.speed).pairs == 4
    with pytest.raises(ValueError, match="above 0"):
        verdict.to_other(some, "ours", "nobody", verdict.speed)


def test_figures_of_another_case_stay_when_one_is_measured_again(tmp_path: Path) -> None:
    path = tmp_path / "avx2.json"
    other = replace(TURN, case="another")
    figures.save(path, {"cpu": "old"}, [TURN, other], merge=True)
    again = replace(TURN, images_per_second=60.0)
    figures.save(path, {"cpu": "new"}, [again], merge=True)
    machines, turns = figures.load(path)
    assert turns == [other, again]
    assert (machines["another"]["cpu"], machines[TURN.case]["cpu"]) == ("old", "new")
    assert figures.load(tmp_path / "none.json") == ({}, [])


def test_each_class_of_processor_has_its_own_part_of_the_page(tmp_path: Path) -> None:
    about = {"cpu": "A processor", "cores": 2, "commit": "abc", "started": "now", "seed": 3}
    turns = race({"ours": 1.05, "ours (Pillow's resize)": 0.98, "mosec": 1.0})
    figures.save(tmp_path / "avx2.json", about, turns, merge=True)
    figures.save(tmp_path / "avx512_vnni.json", about, turns, merge=True)
    part = figures.section(tmp_path)
    assert part.index("Processor class avx2\n") < part.index("Processor class avx512_vnni\n")
    assert "A processor, 2 cores; commit abc, now; seed 3." in part
    (ours,) = [line for line in part.splitlines() if line.startswith("| ours |")][:1]
    assert ours.endswith("| 12 | first |")
    assert "| mosec |" in part


def test_the_part_is_put_into_the_page_once(tmp_path: Path) -> None:
    figures.save(tmp_path / "avx2.json", {}, race({"ours": 1.0, "b": 1.0}), merge=True)
    part = figures.section(tmp_path)
    once = figures.put_into("# Page\n\nText.\n", part)
    assert once == f"# Page\n\nText.\n\n{part}"
    assert figures.put_into(once, part) == once
    assert figures.put_into("# Page\n", "") == "# Page\n"
    between = figures.put_into(f"# Page\n\n{part}\n## More\n", part)
    assert between == f"# Page\n\n{part}\n## More\n"


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ("flags\t\t: fpu avx2 avx512f avx512_vnni", "avx512_vnni"),
        ("flags\t\t: fpu avx2 avx_vnni", "avx_vnni"),
        ("flags\t\t: fpu avx avx2", "avx2"),
        ("Features\t: fp asimd asimddp", "asimddp"),
        ("model name: flags of avx2", "other"),
        ("", "other"),
    ],
)
def test_the_class_of_a_processor(flags: str, expected: str) -> None:
    assert processor_class(f"processor : 0\n{flags}\n") == expected
