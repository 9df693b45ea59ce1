"""In which order contestants take turns."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.schedule import interleaved


@settings(deadline=None)
@given(st.integers(1, 8), st.integers(1, 6))
def test_every_item_once_in_every_round(items: int, rounds: int) -> None:
    plan = interleaved(range(items), rounds)
    for number in range(rounds):
        assert sorted(item for at, item in plan if at == number) == list(range(items))


@settings(deadline=None)
@given(st.integers(1, 8))
def test_two_rounds_give_every_item_the_same_mean_place(items: int) -> None:
    plan = [item for _, item in interleaved(range(items), 2)]
    places = [sum(at for at, found in enumerate(plan) if found == item) for item in range(items)]
    assert len(set(places)) == 1


def test_later_rounds_begin_with_another_item() -> None:
    plan = interleaved("abc", 4)
    assert [item for number, item in plan if number == 2] == ["b", "c", "a"]


def test_no_rounds_are_refused() -> None:
    with pytest.raises(ValueError, match="at least one"):
        interleaved("abc", 0)
