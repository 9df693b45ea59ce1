"""Whatever is observed goes into the store, and its service into the queue."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from inference_operator.cache.store import Store
from inference_operator.objects import Key
from inference_operator.reconcile.observer import Observer
from inference_operator.reconcile.queue import WorkQueue
from support.operator_objects import KEY, Body, child, owner, pod, service


def observing(scenario: Callable[[Observer], None]) -> Observer:
    """An observer that knows `service()`, after the scenario."""

    async def run() -> Observer:
        queue: WorkQueue[Key] = WorkQueue()
        observer = Observer(Store(), queue, 0.0)
        observer.observe("InferenceService", "ADDED", service())
        queue.forget(KEY)
        scenario(observer)
        return observer

    return asyncio.run(run())


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        *((kind, child(kind)) for kind in ("Deployment", "Service", "HorizontalPodAutoscaler")),
        ("PodDisruptionBudget", child("PodDisruptionBudget", name="shapes-predictor-canary")),
        ("Pod", pod()),
        ("InferenceService", service(version=2)),
    ],
)
def test_every_kind_has_the_same_way_in(kind: str, body: Body) -> None:
    def appear(observer: Observer) -> None:
        observer.observe(kind, None, body)

    observer = observing(appear)
    assert (kind, body["metadata"]["name"]) in observer.store.versions(KEY)
    assert len(observer.queue) == 1

    def come_and_go(observer: Observer) -> None:
        observer.observe(kind, "ADDED", body)
        observer.queue.forget(KEY)
        observer.observe(kind, "DELETED", body)

    observer = observing(come_and_go)
    assert (kind, body["metadata"]["name"]) not in observer.store.versions(KEY)
    # A service that is gone is not reconciled any more; the rest is.
    assert len(observer.queue) == (0 if kind == "InferenceService" else 1)


def test_what_is_not_ours_queues_nothing() -> None:
    def scenario(observer: Observer) -> None:
        observer.observe("Pod", "ADDED", {"metadata": {"name": "x", "namespace": "vision"}})
        observer.observe("Pod", "ADDED", pod(service="unknown"))
        elsewhere = child(owners=(owner(uid="x", name="unknown"),))
        observer.observe("Deployment", "ADDED", elsewhere)
        observer.observe("Deployment", "DELETED", elsewhere)

    assert len(observing(scenario).queue) == 0


def test_a_late_end_of_an_earlier_service_leaves_the_new_one_queued() -> None:
    def scenario(observer: Observer) -> None:
        observer.observe("InferenceService", "ADDED", service(version=9, uid="new"))
        observer.observe("InferenceService", "DELETED", service())
        observer.forget(KEY, ("InferenceService", "shapes"), "u")

    observer = observing(scenario)
    assert observer.store.body(KEY) is not None
    assert len(observer.queue) == 1


def test_a_service_that_a_listing_lacks_is_not_reconciled() -> None:
    def scenario(observer: Observer) -> None:
        observer.observe("InferenceService", "MODIFIED", service(version=2))
        observer.forget(KEY, ("InferenceService", "shapes"), "u")

    observer = observing(scenario)
    assert len(observer.queue) == 0
    assert len(observer.store) == 0
