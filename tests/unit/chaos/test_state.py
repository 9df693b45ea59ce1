"""What the chaos suite calls different, and what it does not."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from chaos.state import PATHS, PLURAL, differences, state_of

Objects = dict[str, list[dict[str, Any]]]
LABELS = {"app.kubernetes.io/managed-by": "inference-operator"}


def objects(namespace: str = "ns-1", uid: str = "u1") -> Objects:
    owner = {"kind": "InferenceService", "name": "svc", "uid": uid, "controller": True}
    found: Objects = {resource: [] for resource in PATHS}
    condition = {
        "type": "Ready",
        "status": "True",
        "observedGeneration": 3,
        "lastTransitionTime": "2026-01-01T00:00:00Z",
    }
    url = f"http://svc-predictor.{namespace}.svc.cluster.local"
    found[PLURAL] = [
        {
            "metadata": {"name": "svc", "namespace": namespace, "uid": uid, "generation": 3},
            "spec": {"predictor": {"minReplicas": 1}},
            "status": {"observedGeneration": 3, "url": url, "conditions": [condition]},
        }
    ]
    found["services"] = [
        {
            "metadata": {
                "name": "svc-predictor",
                "namespace": namespace,
                "labels": LABELS,
                "resourceVersion": "17",
                "ownerReferences": [owner],
            },
            "spec": {"clusterIP": "10.0.0.1", "ports": [{"port": 80}]},
        }
    ]
    return found


def test_two_namespaces_with_the_same_are_the_same() -> None:
    first = state_of("ns-1", objects("ns-1", "u1"))
    other = objects("ns-2", "u2")
    other["services"][0]["spec"]["clusterIP"] = "10.0.0.2"
    other["services"][0]["metadata"]["resourceVersion"] = "99"
    other[PLURAL][0]["metadata"]["generation"] = 5
    other[PLURAL][0]["status"]["observedGeneration"] = 5
    other[PLURAL][0]["status"]["conditions"][0]["observedGeneration"] = 5
    assert state_of("ns-2", other) == first


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda o: o["services"].clear(), "/services svc-predictor is missing"),
        (
            lambda o: o["services"].append(renamed(o["services"][0])),
            "/services other-predictor should not be there",
        ),
        (
            lambda o: o["services"][0]["metadata"]["ownerReferences"][0].update(uid="gone"),
            "somebody who is gone",
        ),
        (lambda o: o["services"][0]["spec"].update(type="NodePort"), "type should not be there"),
        (lambda o: o[PLURAL][0]["metadata"].update(generation=4), "observedGeneration is -1"),
        (lambda o: o["replicasets"].append(replica_set()), "/replicasets should not be there"),
    ],
)
def test_what_differs_is_told(change: Any, told: str) -> None:
    expected, other = state_of("ns-1", objects()), copy.deepcopy(objects())
    change(other)
    assert any(told in text for text in differences(state_of("ns-1", other), expected))


def renamed(child: dict[str, Any]) -> dict[str, Any]:
    other = copy.deepcopy(child)
    other["metadata"]["name"] = "other-predictor"
    return other


def replica_set() -> dict[str, Any]:
    owner = {"kind": "Deployment", "name": "svc-predictor", "uid": "d"}
    metadata = {"name": "svc-predictor-1", "namespace": "ns-1", "ownerReferences": [owner]}
    return {"metadata": metadata, "spec": {"replicas": 0}}
