"""A revision survives its way through the cluster, and damage there breaks nothing."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference_operator import names
from inference_operator.rollout.records import (
    Refusal,
    Revision,
    Trial,
    build_revision,
    pack,
    read_revision,
)
from inference_operator.rollout.settings import names_revision

TEMPLATE: dict[str, Any] = {
    "metadata": {"labels": {"a": "b"}},
    "spec": {"containers": [{"name": "model-server", "image": "registry/model-server:1"}]},
}
COUNTS = st.integers(0, 2**40)
TRIALS = st.builds(
    Trial,
    attempt=st.text(max_size=8),
    step=st.integers(0, 20),
    weight=st.integers(0, 100),
    paused=st.booleans(),
    since=COUNTS,
    reached=COUNTS,
    scale=st.integers(0, 1000),
    handover_until=COUNTS,
    handover_replicas=st.integers(0, 1000),
)
REVISIONS = st.builds(
    Revision,
    digest=st.just("0123abcd"),
    number=st.integers(1, 2**40),
    packed=st.just(pack(TEMPLATE)),
    trial=TRIALS,
    rolled_out=st.integers(0, 2**31),
    refusal=st.none() | st.builds(Refusal, st.text(), st.text(), COUNTS),
    model_digest=st.sampled_from(["", "sha256:abc"]),
)


@given(REVISIONS)
def test_what_is_written_is_read(revision: Revision) -> None:
    body = build_revision("shapes", revision)
    assert body["metadata"]["name"] == "shapes-predictor-0123abcd"
    assert read_revision(body) == revision
    assert revision.template == TEMPLATE
    assert revision.image == "registry/model-server:1"


@given(st.text(), st.text(), st.text())
def test_damaged_notes_are_as_good_as_none(one: str, two: str, three: str) -> None:
    body = build_revision("shapes", Revision("0123abcd", 1, pack(TEMPLATE)))
    body["metadata"]["annotations"] = {
        names.ANNOTATION_ROLLOUT: one,
        names.ANNOTATION_REFUSED: two,
        names.ANNOTATION_ROLLED_OUT: three,
    }
    revision = read_revision(body)
    assert revision is not None
    assert revision.template == TEMPLATE


@pytest.mark.parametrize("data", [None, {}, {"spec": {}}, {"spec": {"template": 1}}])
def test_what_is_not_ours_is_no_revision(data: Any) -> None:
    body = build_revision("shapes", Revision("0123abcd", 1, pack(TEMPLATE)))
    assert read_revision({**body, "data": data}) is None


def test_a_revision_is_named_whole_or_by_its_digest() -> None:
    assert names_revision("shapes-predictor-0123abcd", "0123abcd")
    assert names_revision("0123abcd", "0123abcd")
    assert not names_revision("", "")
    assert not names_revision("shapes-predictor-0123abce", "0123abcd")
