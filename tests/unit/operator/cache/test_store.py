"""The store keeps what decisions need, never goes back in time, and forgets what is gone."""

from __future__ import annotations

from typing import Any

import pytest

from inference_operator.cache.child import Child, ReplicasOwner
from inference_operator.cache.store import Store

KEY = ("vision", "shapes")


def service(version: int, uid: str = "u", **status: Any) -> dict[str, Any]:
    metadata = {
        "namespace": "vision",
        "name": "shapes",
        "uid": uid,
        "generation": 1,
        "resourceVersion": str(version),
        "managedFields": [{"manager": "kubectl"}],
    }
    return {"metadata": metadata, "spec": {"predictor": {}}, "status": status}


def deployment(version: int, uid: str = "d", replicas: int = 1) -> dict[str, Any]:
    owner = {"uid": "u", "controller": True, "kind": "InferenceService", "name": "shapes"}
    return {
        "metadata": {
            "namespace": "vision",
            "name": "shapes-predictor",
            "uid": uid,
            "resourceVersion": str(version),
            "ownerReferences": [owner],
            "managedFields": [
                {"manager": "inference-operator", "fieldsV1": {"f:spec": {"f:replicas": {}}}},
                {"manager": "kubectl-edit", "time": "2026-01-02T00:00:00Z"},
                {"manager": "controller", "time": "2026-01-03T00:00:00Z", "subresource": "status"},
                {"manager": "kubectl", "time": "2026-01-01T00:00:00Z"},
            ],
        },
        "spec": {"replicas": replicas},
        "status": {"replicas": replicas},
    }


def child(store: Store) -> Child:
    entry = store.entry(KEY)
    assert entry is not None
    return entry.children["Deployment"]


def pod(name: str = "p") -> dict[str, Any]:
    return {"metadata": {"name": name, "uid": name}, "status": {}}


def test_a_service_is_kept_without_what_nobody_reads() -> None:
    store = Store()
    assert store.put_service(KEY, service(5))
    body = store.body(KEY)
    assert body is not None
    assert "managedFields" not in body["metadata"]
    assert list(store.services()) == [KEY]
    assert len(store) == 1


def test_of_a_services_annotations_those_of_kserve_are_kept() -> None:
    store, body = Store(), service(5)
    asked = {"serving.kserve.io/stop": "true"}
    body["metadata"]["annotations"] = {"kubectl.kubernetes.io/last-applied": "{}", **asked}
    store.put_service(KEY, body)
    assert (store.body(KEY) or {})["metadata"]["annotations"] == asked


def test_old_news_is_no_news() -> None:
    store = Store()
    assert store.put_service(KEY, service(5, observedGeneration=5))
    assert not store.put_service(KEY, service(5))
    assert not store.put_service(KEY, service(4))
    body = store.body(KEY)
    assert body is not None
    assert body["status"] == {"observedGeneration": 5}
    assert store.put_child(KEY, "Deployment", deployment(7))
    assert not store.put_child(KEY, "Deployment", deployment(6))
    assert store.put_child(KEY, "Deployment", deployment(1, uid="another"))


def test_versions_that_are_no_numbers_are_always_news() -> None:
    store = Store()
    body = service(1)
    body["metadata"]["resourceVersion"] = "abc"
    assert store.put_service(KEY, body)
    assert store.put_service(KEY, body)


def test_a_successor_of_the_same_name_is_not_dropped_with_its_predecessor() -> None:
    store = Store()
    store.put_service(KEY, service(5, uid="old"))
    store.put_service(KEY, service(3, uid="new"))
    store.drop_service(KEY, "old")
    assert store.body(KEY) is not None
    store.drop_service(KEY, "new")
    assert store.body(KEY) is None
    assert store.all_keys() == []


def test_what_was_judged_stays_judged_until_the_child_is_another() -> None:
    store = Store()
    store.put_child(KEY, "Deployment", deployment(1))
    child(store).mark_in_sync(b"mark")
    assert child(store).body is None
    store.put_child(KEY, "Deployment", deployment(2, replicas=5))
    assert child(store).in_sync_with == b"mark"
    assert child(store).body is not None, "to be judged again"
    assert child(store).replicas_owner is ReplicasOwner.OPERATOR
    assert child(store).changed_by == "kubectl-edit"
    store.put_child(KEY, "Deployment", deployment(3, uid="another"))
    assert child(store).in_sync_with == b""


def test_a_change_of_status_leaves_nothing_to_judge() -> None:
    store = Store()
    store.put_child(KEY, "Deployment", deployment(1))
    child(store).mark_in_sync(b"mark")
    later = deployment(2)
    later["status"]["replicas"] = 9
    later["metadata"]["annotations"] = {"deployment.kubernetes.io/revision": "1"}
    assert store.put_child(KEY, "Deployment", later), "it is news all the same"
    assert child(store).body is None
    assert child(store).in_sync_with == b"mark"
    observed = store.observed(KEY).deployment
    assert observed is not None
    assert observed.replicas == 9


def test_what_waits_to_be_judged_waits_until_it_was() -> None:
    store = Store()
    store.put_child(KEY, "Deployment", deployment(1))
    child(store).mark_in_sync(b"mark")
    store.put_child(KEY, "Deployment", deployment(2, replicas=5))
    # Back to what was judged, but nobody has looked at what was between.
    store.put_child(KEY, "Deployment", deployment(3))
    assert child(store).body is not None


@pytest.mark.parametrize(
    ("managers", "owner"),
    [
        ([], ReplicasOwner.NOBODY),
        (["inference-operator"], ReplicasOwner.OPERATOR),
        (["inference-operator-handover", "inference-operator"], ReplicasOwner.OPERATOR),
        (["inference-operator-handover"], ReplicasOwner.HANDOVER),
        (["kube-controller-manager"], ReplicasOwner.OTHER),
        (["inference-operator-handover", "kubectl"], ReplicasOwner.OTHER),
    ],
)
def test_whose_the_number_of_replicas_is(managers: list[str], owner: ReplicasOwner) -> None:
    fields: dict[str, Any] = {"fieldsV1": {"f:spec": {"f:replicas": {}}}}
    rest = {"manager": "inference-operator", "fieldsV1": {"f:spec": {"f:template": {}}}}
    body = deployment(1)
    body["metadata"]["managedFields"] = [rest, *({"manager": m, **fields} for m in managers)]
    store = Store()
    store.put_child(KEY, "Deployment", body)
    entry = store.entry(KEY)
    assert entry is not None
    assert entry.children["Deployment"].replicas_owner is owner


def test_an_object_of_another_name_is_no_child() -> None:
    store = Store()
    body = deployment(1)
    body["metadata"]["name"] = "something-else"
    assert not store.put_child(KEY, "Deployment", body)


def test_only_telling_changes_of_pods_are_news() -> None:
    store = Store()
    assert store.put_pod(KEY, pod())
    assert not store.put_pod(KEY, pod())
    assert [state.name for state in store.observed(KEY).pods] == ["p"]
    assert store.drop_pod(KEY, "p")
    assert not store.drop_pod(KEY, "p")
    assert store.all_keys() == []


def test_a_deployment_that_is_gone_is_not_observed() -> None:
    store = Store()
    store.put_child(KEY, "Deployment", deployment(1, replicas=3))
    state = store.observed(KEY).deployment
    assert state is not None
    assert state.desired == 3
    store.drop_child(KEY, "Deployment", "d")
    assert store.observed(KEY).deployment is None


def test_versions_of_everything_known() -> None:
    store = Store()
    store.put_service(KEY, service(1))
    store.put_child(KEY, "Deployment", deployment(1))
    store.put_pod(KEY, pod())
    assert store.versions(KEY) == {
        ("InferenceService", "shapes"): ("u", 1),
        ("Deployment", "shapes-predictor"): ("d", 1),
        ("Pod", "p"): ("p", 0),
    }
