"""Fields and annotations of a rollout: each lands where it belongs, each mistake is named."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference_operator import names
from inference_operator.api.rollout import parse_duration
from inference_operator.api.spec import parse
from inference_operator.desired.revision import attempt_of
from inference_operator.errors import SpecError
from inference_operator.rollout.settings import Rollback, RolloutSettings, Step


def body(predictor: Any, **annotations: str) -> dict[str, Any]:
    metadata = {"name": "shapes", "namespace": "vision", "uid": "u", "annotations": annotations}
    return {"metadata": metadata, "spec": {"predictor": predictor}}


def test_every_field_of_a_rollout() -> None:
    rollout = {
        "steps": [{"percent": 10, "pause": "1h30m"}, {"percent": 0, "pause": "5s"}],
        "rollback": "Manual",
        "paused": True,
        "progressDeadlineSeconds": 60,
        "revisionHistoryLimit": 0,
        "pinnedRevision": "shapes-predictor-0123abcd",
    }
    asked = {
        names.ANNOTATION_PROMOTE: "a",
        names.ANNOTATION_ABORT: "b",
        names.ANNOTATION_RETRY: "c",
    }
    assert parse(body({"rollout": rollout}, **asked)).rollout == RolloutSettings(
        None, (Step(10, 5400), Step(0, 5)), Rollback.MANUAL, True, 60, 0,
        "shapes-predictor-0123abcd", "a", "b", "c",
    )  # fmt: skip


def test_the_defaults() -> None:
    rollout = parse(body({})).rollout
    assert rollout == RolloutSettings()
    assert (rollout.rollback, rollout.deadline_s, rollout.history_limit) == (
        Rollback.AUTOMATIC,
        600,
        10,
    )


@pytest.mark.parametrize("percent", [0, 10, 100])
def test_a_percentage(percent: int) -> None:
    assert parse(body({"canaryTrafficPercent": percent})).rollout.percent == percent


@pytest.mark.parametrize(
    ("predictor", "field"),
    [
        ({"canaryTrafficPercent": 101}, "canaryTrafficPercent"),
        ({"canaryTrafficPercent": "10"}, "canaryTrafficPercent"),
        (
            {"canaryTrafficPercent": 1, "rollout": {"steps": [{"percent": 1, "pause": "1s"}]}},
            "canaryTrafficPercent",
        ),
        ({"rollout": {"steps": [{"pause": "1s"}]}}, "rollout.steps[0].percent"),
        ({"rollout": {"steps": [{"percent": 1}]}}, "rollout.steps[0].pause"),
        ({"rollout": {"steps": [{"percent": 1, "pause": "1d"}]}}, "rollout.steps[0].pause"),
        ({"rollout": {"steps": [{"percent": 1, "pause": "1s", "x": 1}]}}, "rollout.steps[0].x"),
        ({"rollout": {"steps": [{"percent": 1, "pause": "1s"}] * 21}}, "rollout.steps"),
        ({"rollout": {"rollback": "Never"}}, "rollout.rollback"),
        ({"rollout": {"progressDeadlineSeconds": 0}}, "rollout.progressDeadlineSeconds"),
        ({"rollout": {"revisionHistoryLimit": -1}}, "rollout.revisionHistoryLimit"),
        ({"rollout": {"pinnedRevision": "newest"}}, "rollout.pinnedRevision"),
        ({"rollout": {"strategy": "fast"}}, "rollout.strategy"),
    ],
)
def test_a_mistake_is_named(predictor: Any, field: str) -> None:
    with pytest.raises(SpecError) as refused:
        parse(body(predictor))
    assert str(refused.value).startswith(f"spec.predictor.{field}")


@given(st.integers(0, 99), st.integers(0, 999), st.integers(0, 9999))
def test_durations(hours: int, minutes: int, seconds: int) -> None:
    total = hours * 3600 + minutes * 60 + seconds
    assert parse_duration(f"{hours}h{minutes}m{seconds}s") == total
    assert parse_duration(f"{total}s") == total


@given(st.text(max_size=12))
def test_other_texts_are_no_durations(text: str) -> None:
    if parse_duration(text) is not None:
        assert text[-1] in "hms"


def test_what_counts_as_another_attempt() -> None:
    first = attempt_of(parse(body({"minReplicas": 1})))
    assert attempt_of(parse(body({"minReplicas": 2, "maxReplicas": 9}))) == first
    assert attempt_of(parse(body({"rollout": {"paused": True}}))) == first
    assert attempt_of(parse(body({"rollout": {"progressDeadlineSeconds": 9}}))) != first
    assert attempt_of(parse(body({}, **{names.ANNOTATION_RETRY: "1"}))) != first
