"""The store keeps what decisions need, never goes back in time, and forgets what is gone."""

from __future__ import annotations

from typing import Any

import pytest

from inference_operator.cache import missed
from inference_operator.cache.child import Child, ReplicasOwner
from inference_operator.cache.store import MAXIMUM_FOREIGN, Store
from support import operator_objects as objects
from support.operator_objects import KEY, UID, Body, owner, pod

DEPLOYMENT = ("Deployment", "shapes-predictor")


def service(version: int, uid: str = "u", **status: Any) -> Body:
    body = objects.service(version, uid, predictor={})
    body["metadata"]["managedFields"] = [{"manager": "kubectl"}]
    body["status"] = status
    return body


def deployment(version: int, uid: str = "d", replicas: int = 1) -> Body:
    body = objects.child("Deployment", version, uid)
    body["metadata"]["managedFields"] = [
        {"manager": "inference-operator", "fieldsV1": {"f:spec": {"f:replicas": {}}}},
        {"manager": "kubectl-edit", "time": "2026-01-02T00:00:00Z"},
        {"manager": "controller", "time": "2026-01-03T00:00:00Z", "subresource": "status"},
        {"manager": "kubectl", "time": "2026-01-01T00:00:00Z"},
    ]
    return {**body, "spec": {"replicas": replicas}, "status": {"replicas": replicas}}


def known() -> Store:
    """A store that knows the InferenceService."""
    store = Store()
    store.put_service(KEY, service(1))
    return store


def child(store: Store) -> Child:
    found = store.child(KEY, DEPLOYMENT)
    assert found is not None
    return found


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
    assert store.put(KEY, "Deployment", deployment(7))
    assert not store.put(KEY, "Deployment", deployment(6))
    assert store.put(KEY, "Deployment", deployment(1, uid="another"))


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
    store = known()
    store.put(KEY, "Deployment", deployment(1))
    child(store).mark_in_sync(b"mark")
    assert child(store).body is None
    store.put(KEY, "Deployment", deployment(2, replicas=5))
    assert child(store).in_sync_with == b"mark"
    assert child(store).body is not None, "to be judged again"
    assert child(store).replicas_owner is ReplicasOwner.OPERATOR
    assert child(store).changed_by == "kubectl-edit"
    store.put(KEY, "Deployment", deployment(3, uid="another"))
    assert child(store).in_sync_with == b""


def test_a_change_of_status_leaves_nothing_to_judge() -> None:
    store = known()
    store.put(KEY, "Deployment", deployment(1))
    child(store).mark_in_sync(b"mark")
    later = deployment(2)
    later["status"]["replicas"] = 9
    later["metadata"]["annotations"] = {"deployment.kubernetes.io/revision": "1"}
    assert store.put(KEY, "Deployment", later), "it is news all the same"
    assert child(store).body is None
    assert child(store).in_sync_with == b"mark"
    observed = store.observed(KEY).deployments.get("shapes-predictor")
    assert observed is not None
    assert observed.replicas == 9


def test_what_waits_to_be_judged_waits_until_it_was() -> None:
    store = known()
    store.put(KEY, "Deployment", deployment(1))
    child(store).mark_in_sync(b"mark")
    store.put(KEY, "Deployment", deployment(2, replicas=5))
    # Back to what was judged, but nobody has looked at what was between.
    store.put(KEY, "Deployment", deployment(3))
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
    store = known()
    store.put(KEY, "Deployment", body)
    assert child(store).replicas_owner is owner


def test_an_object_of_another_name_is_no_child() -> None:
    store = known()
    body = deployment(1)
    body["metadata"]["name"] = "something-else"
    assert not store.put(KEY, "Deployment", body)


def test_only_telling_changes_of_pods_are_news() -> None:
    store = known()
    assert store.put(KEY, "Pod", pod())
    assert not store.put(KEY, "Pod", pod())
    store.put(KEY, "Deployment", deployment(1))
    assert [state.name for state in store.observed(KEY).pods] == ["p"]
    assert store.drop(KEY, ("Pod", "p"), "p")
    assert not store.drop(KEY, ("Pod", "p"), "p")
    assert store.observed(KEY).pods == ()


def test_a_deployment_that_is_gone_is_not_observed() -> None:
    store = known()
    store.put(KEY, "Deployment", deployment(1, replicas=3))
    state = store.observed(KEY).deployments.get("shapes-predictor")
    assert state is not None
    assert state.desired == 3
    store.drop(KEY, DEPLOYMENT, "d")
    assert store.observed(KEY).deployments.get("shapes-predictor") is None


def test_versions_of_everything_known() -> None:
    store = Store()
    store.put_service(KEY, service(1))
    store.put(KEY, "Deployment", deployment(1))
    store.put(KEY, "Pod", pod())
    assert store.versions(KEY) == {
        ("InferenceService", "shapes"): ("u", 1),
        ("Deployment", "shapes-predictor"): ("d", 1),
        ("Pod", "p"): ("p", 1),
    }


def test_a_service_may_have_several_children_of_a_kind() -> None:
    store = known()
    for name in ("shapes-predictor", "shapes-predictor-canary"):
        for kind in ("Deployment", "Service", "HorizontalPodAutoscaler"):
            body = objects.child(kind, uid=f"{kind} {name}", name=name)
            if kind == "Deployment":
                body["spec"]["replicas"] = len(name)
            if kind == "Service":
                body["status"] = {"loadBalancer": {"ingress": [{"ip": name}]}}
            assert store.put(KEY, kind, body)
        store.put(KEY, "Pod", pod(f"pod of {name}", deployment=name))
    assert len(store.children(KEY)) == 6
    observed = store.observed(KEY)
    assert {name: state.desired for name, state in observed.deployments.items()} == {
        "shapes-predictor": 16,
        "shapes-predictor-canary": 23,
    }
    assert observed.load_balancers == {name: name for name in observed.deployments}
    assert [(state.name, state.deployment) for state in observed.pods] == [
        ("pod of shapes-predictor", "shapes-predictor"),
        ("pod of shapes-predictor-canary", "shapes-predictor-canary"),
    ]
    canary = ("Deployment", "shapes-predictor-canary")
    assert store.drop(KEY, canary, "Deployment shapes-predictor-canary")
    assert [state.deployment for state in store.observed(KEY).pods] == ["shapes-predictor"]
    assert DEPLOYMENT in store.children(KEY)


FOREIGN = {
    "another InferenceService": (owner(uid="another"),),
    "an earlier one of the same name": (owner(uid="earlier"),),
    "KServe's of the same name and uid": (owner(api_version="serving.kserve.io/v1beta1"),),
    "nobody": (),
    "not the controller": ({**owner(), "controller": False},),
}


@pytest.mark.parametrize("owners", FOREIGN.values(), ids=FOREIGN)
def test_nothing_is_kept_of_an_object_with_another_owner(owners: tuple[Body, ...]) -> None:
    store = known()
    body = objects.child(owners=owners)
    assert store.put(KEY, "Deployment", body), "that the name is taken is news"
    assert not store.put(KEY, "Deployment", body)
    assert store.children(KEY) == {}
    assert store.is_foreign(KEY, DEPLOYMENT)
    assert store.observed(KEY).deployments == {}
    assert store.drop(KEY, DEPLOYMENT, "d"), "and so is that it is free again"
    assert not store.is_foreign(KEY, DEPLOYMENT)


def test_a_child_that_changes_its_owner_is_ours_no_longer_and_back() -> None:
    store = known()
    store.put(KEY, "Deployment", deployment(1))
    assert store.put(KEY, "Deployment", objects.child(version=2, owners=()))
    assert store.children(KEY) == {}
    assert store.put(KEY, "Deployment", deployment(3))
    assert not store.is_foreign(KEY, DEPLOYMENT)
    assert DEPLOYMENT in store.children(KEY)


def test_children_of_an_earlier_service_are_only_names_that_are_taken() -> None:
    store = known()
    store.put(KEY, "Deployment", deployment(1))
    store.put(KEY, "Pod", pod())
    store.put_service(KEY, service(9, uid="new"))
    assert store.is_foreign(KEY, DEPLOYMENT)
    assert store.observed(KEY).pods == ()
    store.drop_service(KEY, "new")
    assert store.all_keys() == [KEY], "the name is still taken"
    assert store.drop(KEY, DEPLOYMENT, "d")
    assert store.all_keys() == []


def test_forged_labels_do_not_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(missed, "MAXIMUM", 500)
    store = known()
    for number in range(1000):
        forged = objects.child(uid=str(number), name=f"shapes-predictor-{number}", owners=())
        store.put(KEY, "Deployment", forged)
        loose = pod(f"loose-{number}")
        loose["metadata"]["ownerReferences"] = []
        store.put(KEY, "Pod", loose)
        elsewhere = ("vision", f"unknown-{number}")
        store.put(elsewhere, "Deployment", objects.child(name=f"unknown-{number}-predictor"))
        store.put(("vision", "unknown"), "Pod", pod(f"unknown-{number}"))
    assert store.all_keys() == [KEY]
    assert len(store.versions(KEY)) == 1 + MAXIMUM_FOREIGN
    assert len(store.missed) == 500
    assert len(store.missed.take(("vision", "unknown"))) <= missed.MAXIMUM_PER_KEY


def test_a_pod_that_its_replica_set_let_go_is_dropped() -> None:
    """As when somebody takes its labels away to look into it."""
    store = known()
    store.put(KEY, "Deployment", deployment(1))
    store.put(KEY, "Pod", pod())
    released = pod(version=2)
    released["metadata"]["ownerReferences"] = []
    assert store.put(KEY, "Pod", released)
    assert store.observed(KEY).pods == ()


def test_what_comes_before_its_service_is_noted_by_name() -> None:
    store = Store()
    assert not store.put(KEY, "Deployment", deployment(1))
    assert not store.put(KEY, "Pod", pod())
    assert store.all_keys() == []
    assert store.missed.take(KEY) == (DEPLOYMENT, ("Pod", "p"))
    assert store.missed.take(KEY) == ()
    store.put(KEY, "Pod", pod())
    store.drop(KEY, ("Pod", "p"), "p")
    assert len(store.missed) == 0


def test_labels_that_children_inherit_are_kept_and_those_of_tools_are_not() -> None:
    store, body = Store(), service(1)
    body["metadata"]["labels"] = {"team": "vision", "helm.sh/chart": "x"}
    body["metadata"]["annotations"] = {"kubectl.kubernetes.io/last-applied-configuration": "{}"}
    store.put_service(KEY, body)
    kept = store.body(KEY)
    assert kept is not None
    assert kept["metadata"]["labels"] == {"team": "vision"}
    assert "annotations" not in kept["metadata"]


def test_a_service_that_was_thought_gone_finds_its_children_again() -> None:
    """A listing of an API server that lags lacks what was there before and after it."""
    store = known()
    store.put(KEY, "Deployment", deployment(1))
    store.drop_service(KEY, UID)
    store.put_service(KEY, service(version=2))
    assert not store.is_foreign(KEY, DEPLOYMENT), "it is read again first"
    assert store.missed.take(KEY) == (DEPLOYMENT,)
