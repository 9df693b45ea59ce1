"""Whose an object is: by the UID of its controller, never by its labels alone."""

from __future__ import annotations

from typing import Any

import pytest

from inference_operator.cache.ownership import claimed_by, deployment_of, is_controlled_by
from support.operator_objects import HASH, KEY, UID, child, owner, pod


def test_a_child_is_controlled_by_its_service() -> None:
    assert is_controlled_by(child()["metadata"], UID)
    assert not is_controlled_by(child()["metadata"], "another")


@pytest.mark.parametrize(
    "changes",
    [
        {"apiVersion": "serving.kserve.io/v1beta1"},
        {"apiVersion": "inference-operator.dev.example.com/v1"},
        {"kind": "InferenceGraph"},
        {"controller": False},
        {"uid": "another"},
    ],
)
def test_other_owners(changes: dict[str, Any]) -> None:
    body = child(owners=({**owner(), **changes},))
    assert not is_controlled_by(body["metadata"], UID)


def test_another_version_of_our_group_is_ours() -> None:
    body = child(owners=(owner(api_version="inference-operator.dev/v1"),))
    assert is_controlled_by(body["metadata"], UID)


def test_a_child_without_its_label_is_known_by_its_controller() -> None:
    metadata = child()["metadata"]
    metadata["labels"] = {}
    assert claimed_by(metadata) == KEY


def test_an_object_without_a_controller_is_known_by_its_label() -> None:
    assert claimed_by(child(owners=())["metadata"]) == KEY
    assert claimed_by(pod()["metadata"]) == KEY
    assert claimed_by({"namespace": "vision", "name": "x"}) is None


def test_the_controller_beats_the_label() -> None:
    metadata = child(owners=(owner(name="circles"),))["metadata"]
    assert claimed_by(metadata) == ("vision", "circles")


def test_a_pod_belongs_to_the_deployment_of_its_replica_set() -> None:
    assert deployment_of(pod(deployment="shapes-predictor-canary")["metadata"]) == (
        "shapes-predictor-canary"
    )


@pytest.mark.parametrize(
    "changes",
    [
        {"ownerReferences": []},
        {"labels": {}},
        {"labels": {"pod-template-hash": "other"}},
        {"ownerReferences": [owner()]},
        {
            "ownerReferences": [
                {"apiVersion": "example.com/v1", "kind": "ReplicaSet", "name": f"x-{HASH}",
                 "uid": "r", "controller": True}
            ]
        },
    ],
)  # fmt: skip
def test_pods_of_no_deployment(changes: dict[str, Any]) -> None:
    assert deployment_of({**pod()["metadata"], **changes}) == ""
