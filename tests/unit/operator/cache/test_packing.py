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


def test_a_typical_body_shrinks_to_a_fraction() -> None:
    condition = {"type": "Ready", "status": "True", "lastTransitionTime": "2026-11-24T05:00:00Z"}
    body = {
        "metadata": {
            "name": "shapes",
            "namespace": "vision",
            "uid": "9a3c0f1d-7b0f",
            "generation": 1,
        },
        "spec": {
            "predictor": {"minReplicas": 1, "maxReplicas": 3},
            "service": {"type": "ClusterIP"},
        },
        "status": {
            "conditions": [condition, {**condition, "type": "PredictorReady"}],
            "address": {"url": "http://shapes-predictor.vision.svc.cluster.local"},
            "modelStatus": {"transitionStatus": "UpToDate", "source": "bundled://detector"},
        },
    }
    assert len(pack(body)) < len(str(body)) / 3
