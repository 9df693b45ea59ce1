"""Drift: what we applied is compared, what others added is not."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference_operator.cache.drift import digest, matches, project

DESIRED: dict[str, Any] = {
    "metadata": {"labels": {"a": "1"}},
    "spec": {
        "selector": {"a": "1"},
        "containers": [
            {"name": "server", "image": "x", "env": [{"name": "A", "value": ""}], "args": ["1"]}
        ],
        "tolerations": [{"operator": "Exists"}],
    },
}


def observed() -> dict[str, Any]:
    body = copy.deepcopy(DESIRED)
    body["metadata"] |= {"uid": "u", "resourceVersion": "5"}
    body["metadata"]["labels"]["theirs"] = "2"
    body["spec"]["replicas"] = 3
    del body["spec"]["containers"][0]["env"][0]["value"]  # an empty value is dropped on writing
    body["spec"]["containers"].insert(0, {"name": "sidecar", "image": "y"})
    return body


def test_what_others_add_is_theirs() -> None:
    assert matches(DESIRED, observed())


def change(path: list[Any], value: Any) -> dict[str, Any]:
    body = observed()
    place = body
    for key in path[:-1]:
        place = place[key]
    if value is None:
        del place[path[-1]]
    else:
        place[path[-1]] = value
    return body


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (["metadata", "labels", "a"], "other"),
        (["metadata", "labels", "a"], None),
        (["metadata", "labels"], None),
        (["spec", "selector", "b"], "one key more in an atomic map"),
        (["spec", "containers", 1, "image"], "z"),
        (["spec", "containers", 1, "args"], ["1", "2"]),
        (["spec", "containers", 1, "env"], []),
        (["spec", "containers"], []),
        (["spec", "tolerations"], [{"operator": "Exists"}, {"key": "more"}]),
        (["spec"], None),
    ],
)
def test_what_is_ours_is_noticed(path: list[Any], value: Any) -> None:
    assert not matches(DESIRED, change(path, value))


JSON = st.recursive(
    st.booleans() | st.integers(0, 3) | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["name", "b", "c"]), inner)
    ),
    max_leaves=8,
)


@given(JSON)
def test_everything_matches_itself(value: Any) -> None:
    assert project(value, copy.deepcopy(value)) == value


@given(JSON, JSON)
def test_matching_is_comparing_the_projection(desired: Any, other: Any) -> None:
    assert matches(desired, other) is (project(desired, other) == desired)


@given(st.dictionaries(st.text(max_size=3), JSON))
def test_the_digest_depends_on_nothing_but_the_value(value: dict[str, Any]) -> None:
    backwards = dict(reversed(list(value.items())))
    assert digest(value) == digest(backwards)
    assert digest(value) != digest({**value, "one more": 1})
