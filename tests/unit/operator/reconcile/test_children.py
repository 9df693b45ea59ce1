"""Children are known by kind and name; late answers hide no change; nothing foreign is touched."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from inference_operator import names
from inference_operator.api.spec import parse
from inference_operator.cache.store import Store
from inference_operator.config import Config
from inference_operator.desired.state import Desired, build_desired
from inference_operator.errors import ApiError, ChildConflictError
from inference_operator.objects import ObjectRef
from inference_operator.reconcile.children import Children, Outcome
from support.memory_api import MemoryApi
from support.operator_objects import KEY, UID, Body, child, owner, service

SPEC = {"predictor": {"minReplicas": 1, "model": {"modelFormat": {"name": "tflite"}}}}
AUTOSCALED = {"predictor": {"minReplicas": 2, "maxReplicas": 5}}


class Bench:
    """The children of one service over an API server in memory, with a clock of its own."""

    def __init__(self, *existing: Body, **spec: Any) -> None:
        self.now = 1000.0
        self.api = MemoryApi(*existing)
        self.store = Store()
        body = service(**(spec or SPEC))
        self.store.put_service(KEY, body)
        self.service = parse(body)
        self.desired = build_desired(self.service, Config())
        self.children = Children(self.api, self.store, lambda: self.now)  # type: ignore[arg-type]

    def sync(self, desired: Desired | None = None) -> Outcome:
        return asyncio.run(self.children.sync(KEY, self.service, desired or self.desired))

    def observe(self, body: Body) -> None:
        self.store.put(KEY, body["kind"], body)

    @property
    def existing(self) -> set[ObjectRef]:
        """All objects but the records of revisions."""
        objects = ((kind, name) for kind, _, name in self.api.objects)
        return {ref for ref in objects if ref[0] != "ControllerRevision"}


def synced(meanwhile: Callable[[Store, Body], None], passes: int) -> list[str]:
    """Kinds that were applied in so many passes; `meanwhile` happens before each answer."""
    bench = Bench()
    bench.api.written = lambda answer: meanwhile(bench.store, answer)
    for _ in range(passes):
        bench.sync()
    return [kind for kind, _ in bench.api.named("apply")]


def test_what_was_applied_is_in_sync() -> None:
    assert sorted(synced(lambda *_: None, 2)) == sorted(synced(lambda *_: None, 1))


def test_the_event_of_the_answer_itself_may_come_first() -> None:
    def seen(store: Store, answer: Body) -> None:
        store.put(KEY, answer["kind"], answer)

    assert synced(seen, 2) == synced(lambda *_: None, 1)


def test_a_change_that_was_seen_before_the_answer_is_put_right() -> None:
    def changed(store: Store, answer: Body) -> None:
        known = store.child(KEY, ("Service", "shapes-predictor"))
        if answer["kind"] == "Service" and known is None:
            later = copy.deepcopy(answer)
            later["metadata"]["resourceVersion"] = "1000"
            later["spec"]["ports"] = []
            store.put(KEY, "Service", later)

    once = synced(lambda *_: None, 1)
    assert sorted(synced(changed, 2)) == sorted([*once, "Service"])


def twice(desired: Desired) -> Desired:
    """Two of every child, the second one's name ending in -canary."""
    second = [
        copy.deepcopy(manifest)
        for manifest in desired.children
        if manifest["kind"] != "ControllerRevision"
    ]
    for manifest in second:
        manifest["metadata"]["name"] += "-canary"
        if manifest["kind"] == "HorizontalPodAutoscaler":
            manifest["spec"]["scaleTargetRef"]["name"] += "-canary"
    return replace(desired, children=(*desired.children, *second))


def test_a_service_may_own_two_of_every_kind() -> None:
    bench = Bench(**AUTOSCALED)
    both = twice(bench.desired)
    assert bench.sync(both).written
    assert bench.existing == {
        (kind, f"shapes-predictor{suffix}")
        for kind in ("Deployment", "Service", "HorizontalPodAutoscaler", "PodDisruptionBudget")
        for suffix in ("", "-canary")
    }
    for name in ("shapes-predictor", "shapes-predictor-canary"):
        deployment = bench.api.objects["Deployment", "vision", name]
        assert deployment["spec"]["replicas"] == 2, "each starts with its minimum"
    assert not bench.sync(both).written


def test_of_two_of_a_kind_only_what_is_not_desired_is_deleted() -> None:
    bench = Bench(**AUTOSCALED)
    bench.sync(twice(bench.desired))
    assert bench.sync().written
    assert bench.existing == {
        (kind, "shapes-predictor")
        for kind in ("Deployment", "Service", "HorizontalPodAutoscaler", "PodDisruptionBudget")
    }
    assert len(bench.api.named("delete")) == 4
    assert not bench.sync().written


def test_of_two_of_a_kind_only_what_was_changed_is_repaired() -> None:
    bench = Bench(**AUTOSCALED)
    both = twice(bench.desired)
    bench.sync(both)
    bench.observe(bench.api.change("Service", "shapes-predictor-canary", ports=[]))
    bench.api.calls.clear()
    outcome = bench.sync(both)
    assert bench.api.named("apply") == [("Service", "shapes-predictor-canary")]
    assert [(repair.kind, repair.name) for repair in outcome.repairs] == [
        ("Service", "shapes-predictor-canary")
    ]


@pytest.mark.parametrize("event_first", [False, True])
def test_repairs_become_less_frequent_whichever_comes_first(event_first: bool) -> None:
    """The event of a repair may come before its answer, and must not undo the count."""
    bench = Bench()
    bench.sync()
    if event_first:
        bench.api.written = bench.observe
    pauses = []
    for _ in range(4):
        bench.observe(bench.api.change("Service", "shapes-predictor", ports=[]))
        outcome = bench.sync()
        pauses.append(outcome.wait_s)
        bench.now += outcome.wait_s
        assert bench.sync().repairs if outcome.wait_s else outcome.repairs
    assert pauses == [0.0, 1.0, 2.0, 4.0]


def test_a_name_that_is_taken_is_told_and_left_alone() -> None:
    theirs = child("Service", uid="theirs", owners=())
    bench = Bench(theirs)
    bench.observe(theirs)
    with pytest.raises(ChildConflictError, match="belongs to nobody"):
        bench.sync()
    assert bench.api.objects["Service", "vision", "shapes-predictor"] == theirs


@pytest.mark.parametrize("kind", ["Service", "PodDisruptionBudget"])
def test_what_is_not_known_is_never_taken_over(kind: str) -> None:
    """A Service without selector, say, contradicts nothing: applying to it would succeed."""
    theirs = child(kind, uid="theirs", owners=())
    bench = Bench(theirs, **AUTOSCALED)
    with pytest.raises(ChildConflictError, match="belongs to nobody"):
        bench.sync()
    assert bench.api.objects[kind, "vision", "shapes-predictor"] == theirs


def test_an_orphan_of_ours_is_adopted() -> None:
    bench = Bench()
    bench.sync()
    ours = bench.api.objects["Service", "vision", "shapes-predictor"]
    ours["metadata"]["ownerReferences"] = []
    ours["metadata"]["managedFields"] = [
        {"manager": names.FIELD_MANAGER, "operation": "Apply", "fieldsV1": {}}
    ]
    again = Bench(ours)
    again.observe(ours)
    assert again.sync().written
    adopted = again.api.objects["Service", "vision", "shapes-predictor"]
    assert adopted["metadata"]["ownerReferences"][0]["uid"] == UID


def test_what_an_earlier_service_left_is_waited_for() -> None:
    bench = Bench()
    bench.observe(child("Service", uid="old", owners=(owner(uid="earlier"),)))
    bench.api.objects["Service", "vision", "shapes-predictor"] = child(
        "Service", uid="old", owners=(owner(uid="earlier"),)
    )
    with pytest.raises(ApiError, match="still being deleted"):
        bench.sync()
    assert ("Service", "shapes-predictor") not in bench.api.named("apply")


def test_our_own_with_a_lost_label_is_taken_back() -> None:
    """It is not watched without its label, so it is looked up before it is created."""
    bench = Bench(child("Service", uid="ours", owners=(owner(uid=UID),)))
    assert bench.sync().written
    assert ("Service", "shapes-predictor") in bench.api.named("apply")
    looked_up = [ref for ref in bench.api.named("get") if ref[0] != "ControllerRevision"]
    assert looked_up == [("Service", "shapes-predictor")]


def test_the_rollout_is_recorded_before_anything_follows_from_it() -> None:
    bench = Bench(**AUTOSCALED)
    bench.sync()
    kinds = [kind for kind, _ in bench.api.named("apply")]
    assert kinds[0] == "ControllerRevision"
    record = next(ref for ref in bench.api.objects if ref[0] == "ControllerRevision")
    bench.observe(bench.api.objects[record])
    assert not bench.sync().written, "what comes back is what was recorded"
