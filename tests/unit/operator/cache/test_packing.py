"""Packed bodies come out as they went in."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from inference_operator.cache.packing import pack, unpack

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(st.dictionaries(st.text(), values, max_size=4))
def test_there_and_back(value: dict[str, Any]) -> None:
    packed = pack(value)
    assert packed, "empty means that there is none"
    assert unpack(packed) == value


def test_longer_than_the_window_of_the_packer() -> None:
    value = {"spec": {"predictor": {"annotations": {str(n): str(n * n) for n in range(5000)}}}}
    assert unpack(pack(value)) == value
