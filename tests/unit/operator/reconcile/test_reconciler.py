"""One pass: what it writes, what it reports, and when the next one follows."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from inference_operator.cache.store import Store
from inference_operator.config import Config
from inference_operator.errors import ApiError, ApiUnavailableError
from inference_operator.objects import find_condition
from inference_operator.reconcile.reconciler import (
    FAILURES_UNTIL_REPORTED,
    Reconciler,
    Result,
)
from support.memory_api import MemoryApi
from support.operator_objects import KEY, Body, child, endpoint_slice, pod, service

CONFIG = Config(status_delay_seconds=0.25)
NOW = 1_800_000_000.0


class Bench:
    """A reconciler of one service over an API server in memory, at a fixed time."""

    def __init__(self, *existing: Body, config: Config = CONFIG, **spec: Any) -> None:
        self.service = service(**spec)
        self.api = MemoryApi(self.service, *existing)
        self.store = Store()
        self.store.put_service(KEY, self.service)
        self.reconciler = Reconciler(
            self.api,  # type: ignore[arg-type]
            self.store,
            config,
            lambda: NOW,
        )

    def reconcile(self, failures: int = 0) -> Result:
        return asyncio.run(self.reconciler.reconcile(KEY, failures))

    def settle(self) -> None:
        """Write the children, so that the next pass reports."""
        assert self.reconcile() == Result(requeue_after_s=0.25)
        self.api.calls.clear()

    def refuse(self, error: ApiError, kind: str = "Service") -> None:
        self.api.refuse = lambda call, one, _: error if (call, one) == ("apply", kind) else None

    @property
    def ready(self) -> Any:
        return find_condition(self.service["status"], "Ready")

    @property
    def events(self) -> list[tuple[str, str]]:
        found = self.api.objects.items()
        return [(body["type"], body["reason"]) for (kind, *_), body in found if kind == "Event"]


def test_children_first_then_the_status_then_nothing() -> None:
    bench = Bench()
    bench.settle()
    assert not bench.service["status"]
    assert bench.reconcile() == Result()
    assert bench.ready["reason"] == "Pending"
    assert bench.ready["lastTransitionTime"] == "2027-01-15T08:00:00Z"
    bench.api.calls.clear()
    assert bench.reconcile() == Result()
    assert bench.api.calls == [], "what is as it should be costs no call"


@pytest.mark.parametrize("change", [{"deletionTimestamp": "2026-01-01T00:00:00Z"}, None])
def test_nothing_is_done_for_what_is_going_or_gone(change: Any) -> None:
    bench = Bench()
    if change:
        metadata = {**bench.service["metadata"], **change, "resourceVersion": "2"}
        bench.store.put_service(KEY, {**bench.service, "metadata": metadata})
    else:
        bench.store.drop_service(KEY, "u")
    assert bench.reconcile() == Result()
    assert bench.api.calls == []


def test_an_invalid_spec_waits_for_a_change() -> None:
    bench = Bench(predictor={"minReplicas": -1})
    assert bench.reconcile() == Result()
    assert (bench.ready["status"], bench.ready["reason"]) == ("False", "InvalidSpec")
    assert bench.events == [("Warning", "InvalidSpec")]
    assert bench.api.named("apply") == []


def test_what_may_pass_is_reported_and_tried_again() -> None:
    bench = Bench(child("Service", owners=()))
    bench.refuse(ApiError(409, "conflict", "Conflict"))
    assert bench.reconcile() == Result(failed=True)
    assert bench.ready["reason"] == "NameTaken"
    bench.api.calls.clear()
    assert bench.reconcile() == Result(failed=True)
    assert bench.api.named("patch_status") == [], "nothing new to report"


def test_an_error_of_the_api_server_is_reported_once_it_lasts() -> None:
    bench = Bench()
    bench.refuse(ApiUnavailableError(500, "no addresses are left"))
    for failures in range(FAILURES_UNTIL_REPORTED):
        with pytest.raises(ApiError):
            bench.reconcile(failures)
        assert not bench.service["status"]
    assert bench.reconcile(FAILURES_UNTIL_REPORTED) == Result(failed=True)
    assert bench.ready["reason"] == "ReconcileFailed"
    assert "no addresses are left" in bench.ready["message"]


@pytest.mark.parametrize("status", [0, 409, 429])
def test_what_is_no_answer_is_never_reported(status: int) -> None:
    bench = Bench()
    bench.refuse(ApiUnavailableError(status, "busy"))
    with pytest.raises(ApiError):
        bench.reconcile(FAILURES_UNTIL_REPORTED + 1)
    assert not bench.service["status"]


def test_what_was_announced_before_its_service_is_read() -> None:
    """Each kind has a watch of its own, so the order between them is anybody's guess."""
    gone, ready = pod("gone"), pod("ready")
    ready["status"]["conditions"] = [{"type": "Ready", "status": "True"}]
    bench = Bench(ready)
    bench.store = Store()
    bench.store.put(KEY, "Pod", ready)
    bench.store.put(KEY, "Pod", gone)
    bench.store.put_service(KEY, bench.service)
    bench.reconciler = Reconciler(
        bench.api,  # type: ignore[arg-type]
        bench.store,
        CONFIG,
        lambda: NOW,
    )
    bench.settle()
    uid = bench.api.objects["Service", "vision", "shapes-predictor"]["metadata"]["uid"]
    bench.store.put(KEY, "EndpointSlice", endpoint_slice("ready", service_uid=uid))
    bench.reconcile()
    assert bench.ready["status"] == "True"
    assert bench.api.named("get") == [], "once"


def test_what_could_not_be_read_is_read_by_the_next_pass() -> None:
    bench = Bench(pod())
    bench.store.missed.add(KEY, ("Pod", "p"))
    bench.api.refuse = lambda call, *_: ApiUnavailableError(0, "cut") if call == "get" else None
    with pytest.raises(ApiUnavailableError):
        bench.reconcile()
    bench.api.refuse = lambda *_: None
    bench.settle()
    assert [state.name for state in bench.store.observed(KEY).pods] == ["p"]


def test_a_repair_is_told_once() -> None:
    bench = Bench()
    bench.settle()
    bench.reconcile()
    body = bench.api.change("Service", "shapes-predictor", ports=[])
    body["metadata"]["managedFields"] = [{"manager": "kubectl-edit", "time": "2026"}]
    bench.store.put(KEY, "Service", body)
    assert bench.reconcile() == Result(requeue_after_s=0.25)
    assert ("Normal", "Repaired") in bench.events
    # The second one has to wait.
    bench.store.put(KEY, "Service", bench.api.change("Service", "shapes-predictor", ports=[]))
    result = bench.reconcile()
    assert not result.failed
    assert result.requeue_after_s is not None
    assert 0.5 < result.requeue_after_s <= 1.0


def test_comparing_writes_nothing_and_drops_the_bodies() -> None:
    leader = Bench()
    leader.settle()
    follower = Bench()
    for body in leader.api.objects.values():
        if body["kind"] in {"Deployment", "Service"}:
            follower.store.put(KEY, body["kind"], body)
    assert all(one.body for one in follower.store.children(KEY).values())
    follower.reconciler.compare(KEY)
    assert not any(one.body for one in follower.store.children(KEY).values())
    follower.reconciler.compare(("vision", "unknown"))
    assert follower.api.calls == []


def test_an_event_that_cannot_be_written_fails_nothing() -> None:
    bench = Bench(predictor={"minReplicas": -1})
    bench.api.refuse = lambda _, kind, __: ApiError(403, "no") if kind == "Event" else None
    assert bench.reconcile() == Result()
    assert bench.ready["reason"] == "InvalidSpec"


def test_a_status_that_another_installation_replaces_is_told_and_left_for_a_while() -> None:
    bench = Bench()
    bench.settle()
    for _ in range(6):
        bench.reconcile()
        theirs = {**bench.service["status"], "address": {"url": "http://other.corp.local"}}
        bench.service["status"] = theirs
        version = int(bench.service["metadata"]["resourceVersion"]) + 1
        bench.service["metadata"]["resourceVersion"] = str(version)
        bench.store.put_service(KEY, bench.service)
    written = len(bench.api.named("patch_status"))
    assert written < 6, "not each time"
    assert bench.events.count(("Warning", "StatusContested")) == 1
    assert bench.reconciler.contests == 1
    waits = bench.reconcile().requeue_after_s
    assert waits is not None
    assert waits > 0
    assert len(bench.api.named("patch_status")) == written


def test_a_busy_api_server_is_asked_again_when_it_says_also_once_that_is_reported() -> None:
    bench = Bench()
    bench.refuse(ApiUnavailableError(429, "busy", retry_after_s=90))
    result = bench.reconcile(2 * FAILURES_UNTIL_REPORTED)
    assert result == Result(failed=True, requeue_after_s=90)
    assert bench.ready["reason"] == "ReconcileFailed"


def test_a_revision_that_somebody_deletes_is_recorded_again() -> None:
    """Its record alone says what its pods were made of, and what a bad update goes back to."""
    bench = Bench()
    bench.settle()
    (where,) = [one for one in bench.api.objects if one[0] == "ControllerRevision"]
    recorded = bench.api.objects.pop(where)
    ref = (where[0], where[2])
    assert bench.store.lose(KEY, ref, recorded["metadata"]["uid"])
    bench.reconcile()
    assert ref in bench.api.named("apply")
    assert bench.api.objects[where]["data"] == recorded["data"]
