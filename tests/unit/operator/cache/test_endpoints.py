"""Which pods the Service of an InferenceService leads to."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from inference_operator.cache.endpoints import read_endpoints
from inference_operator.cache.store import Store
from inference_operator.reconcile.observer import Observer
from inference_operator.reconcile.queue import WorkQueue

KEY, SLICE = ("vision", "shapes"), "EndpointSlice"
SERVICE = "shapes-predictor"


def endpoint(pod: str, **conditions: bool) -> dict[str, Any]:
    return {"conditions": conditions, "targetRef": {"kind": "Pod", "name": pod}}


def endpoint_slice(
    *endpoints: dict[str, Any],
    owner: str = "svc",
    version: int = 5,
    service: str = "shapes-predictor",
) -> Any:
    return {
        "metadata": {
            "name": "shapes-predictor-abc",
            "namespace": "vision",
            "uid": "slice",
            "resourceVersion": str(version),
            "labels": {"inference-operator.dev/inferenceservice": "shapes"},
            "ownerReferences": [
                {"kind": "Service", "name": service, "uid": owner, "controller": True}
            ],
        },
        "endpoints": list(endpoints),
    }


def store_with(service_owner: str) -> Store:
    store = Store()
    owner = {"kind": "InferenceService", "name": "shapes", "uid": service_owner, "controller": True}
    owner["apiVersion"] = "inference-operator.dev/v1beta1"
    metadata = {"name": "shapes-predictor", "namespace": "vision", "resourceVersion": "1"}
    isvc = {"metadata": {"name": "shapes", "namespace": "vision", "uid": "u"}}
    store.put_service(KEY, isvc)
    store.put(KEY, "Service", {"metadata": metadata | {"uid": "svc", "ownerReferences": [owner]}})
    return store


def test_ready_endpoints_are_those_that_do_not_say_otherwise() -> None:
    read = read_endpoints(
        endpoint_slice(
            endpoint("a", ready=True), endpoint("b", ready=False), endpoint("c"), {"addresses": []}
        )
    )
    assert read.pods == {"a", "c"}


@pytest.mark.parametrize(
    ("service_owner", "slice_owner", "pods"),
    [("u", "svc", {"a"}), ("stranger", "svc", set()), ("u", "another-service", set())],
)
def test_only_slices_of_our_own_service_count(
    service_owner: str, slice_owner: str, pods: set[str]
) -> None:
    store = store_with(service_owner)
    store.put(KEY, SLICE, endpoint_slice(endpoint("a"), owner=slice_owner))
    assert store.observed(KEY).endpoints.get(SERVICE, frozenset()) == pods


def test_an_endpoint_slice_is_news_when_its_pods_change() -> None:
    store = store_with("u")
    assert store.put(KEY, SLICE, endpoint_slice(endpoint("a")))
    assert not store.put(KEY, SLICE, endpoint_slice(endpoint("a"), version=6))
    assert store.put(KEY, SLICE, endpoint_slice(endpoint("a", ready=False), version=7))
    assert not store.put(KEY, SLICE, endpoint_slice(endpoint("a"), version=6)), "an older one"
    assert store.drop(KEY, (SLICE, "shapes-predictor-abc"), "slice")
    assert not store.drop(KEY, (SLICE, "shapes-predictor-abc"), "slice")
    assert store.observed(KEY).endpoints == {}


def test_slices_of_other_services_are_not_kept() -> None:
    store = store_with("u")
    assert not store.put(KEY, SLICE, endpoint_slice(endpoint("a"), service="elsewhere"))
    assert ("EndpointSlice", "shapes-predictor-abc") not in store.versions(KEY)


def test_a_pod_that_lost_its_label_is_dropped() -> None:
    store = store_with("u")
    queue = WorkQueue[tuple[str, str]]()
    observer = Observer(store, queue, 0.0)
    owner = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "shapes-predictor-77"}
    metadata = {
        "name": "shapes-predictor-77-x",
        "namespace": "vision",
        "uid": "p",
        "labels": {"inference-operator.dev/inferenceservice": "shapes", "pod-template-hash": "77"},
        "ownerReferences": [owner | {"uid": "r", "controller": True}],
    }

    async def observe() -> None:
        observer.observe("Pod", "ADDED", {"metadata": metadata})
        assert ("Pod", "shapes-predictor-77-x") in store.versions(KEY)
        observer.observe("Pod", "MODIFIED", {"metadata": metadata | {"labels": {}}})
        assert ("Pod", "shapes-predictor-77-x") not in store.versions(KEY)
        assert len(queue) == 1

    asyncio.run(observe())
