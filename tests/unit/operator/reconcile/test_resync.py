"""Listings find what watches missed, and what they find is reconciled."""

from __future__ import annotations

import asyncio

import pytest

from inference_operator.cache.store import Store
from inference_operator.errors import ApiError
from inference_operator.objects import Key
from inference_operator.reconcile.observer import Observer
from inference_operator.reconcile.queue import WorkQueue
from inference_operator.reconcile.resync import FIRST_RESYNC_SECONDS, Resync
from support.memory_api import MemoryApi
from support.operator_objects import KEY, Body, child, pod, service


class Bench:
    """A resync over a listing client, and what it did."""

    def __init__(self, client: MemoryApi, *namespaces: str) -> None:
        self.client = client
        self.store = Store()
        self.queue: WorkQueue[Key] = WorkQueue()
        self.compared: list[Key] = []
        self.slept: list[float] = []
        self.observer = Observer(self.store, self.queue, 0.0)
        self.resync = Resync(
            client,  # type: ignore[arg-type]
            self.observer,
            self.compared.append,
            namespaces,
            self._sleep,
        )

    async def _sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        if len(self.slept) > 3:
            raise asyncio.CancelledError
        await asyncio.sleep(0)

    def know(self) -> None:
        """Take in what the client has, and reconcile it."""
        for body in self.client.objects.values():
            self.observer.observe(body["kind"], "ADDED", body)
        self.queue.forget(KEY)

    @property
    def queued(self) -> int:
        return len(self.queue)


@pytest.mark.parametrize(
    ("kind", "gone"),
    [
        *((kind, child(kind)) for kind in ("Deployment", "Service", "HorizontalPodAutoscaler")),
        ("Pod", pod()),
    ],
)
def test_what_vanished_behind_a_watch_is_reconciled_at_once(kind: str, gone: Body) -> None:
    """After a 410 everything is listed again; what is missing was deleted unnoticed."""

    async def scenario() -> None:
        client = MemoryApi(service(), child(), gone)
        bench = Bench(client)
        bench.know()
        del client.objects[kind, "vision", gone["metadata"]["name"]]
        await bench.resync.relist(kind, "")
        assert (kind, gone["metadata"]["name"]) not in bench.store.versions(KEY)
        assert bench.queued == 1, "it waits for the resync otherwise, for ten minutes"

    asyncio.run(scenario())


def test_everything_is_known_before_anything_is_decided() -> None:
    async def scenario() -> None:
        bench = Bench(MemoryApi(pod(), child("Service", uid="s"), child(), service()))
        versions = await bench.resync.prime()
        assert set(versions) == {
            (kind, "")
            for kind in (
                "InferenceService", "Deployment", "Service", "HorizontalPodAutoscaler",
                "PodDisruptionBudget", "ControllerRevision", "EndpointSlice", "Pod",
            )
        }  # fmt: skip
        assert all(version.isdecimal() for version in versions.values())
        assert {kind for kind, _ in bench.store.versions(KEY)} == {
            "InferenceService", "Deployment", "Service", "Pod"
        }  # fmt: skip
        assert bench.compared == [KEY, KEY], "so that their bodies can be dropped"

    asyncio.run(scenario())


def test_only_the_namespaces_of_the_operator_are_listed() -> None:
    async def scenario() -> None:
        bench = Bench(MemoryApi(service()), "vision", "speech")
        versions = await bench.resync.prime()
        assert {namespace for _, namespace in versions} == {"vision", "speech"}
        client = bench.client
        assert {name for call, _, name in client.calls if call == "list"} == {"vision", "speech"}

    asyncio.run(scenario())


def test_a_listing_of_one_namespace_forgets_nothing_elsewhere() -> None:
    async def scenario() -> None:
        bench = Bench(MemoryApi(service(), child()), "vision", "speech")
        bench.know()
        await bench.resync.relist("Deployment", "speech")
        assert ("Deployment", "shapes-predictor") in bench.store.versions(KEY)

    asyncio.run(scenario())


def test_a_resync_reads_what_is_newer_forgets_what_is_gone_and_queues_all() -> None:
    async def scenario() -> None:
        client = MemoryApi(service(), child(), child("Service", uid="s"), pod())
        bench = Bench(client)
        bench.know()
        client.objects["Deployment", "vision", "shapes-predictor"] = child(version=7)
        del client.objects["Service", "vision", "shapes-predictor"]
        client.objects["Pod", "vision", "q"] = pod("q")
        await bench.resync.resync()
        assert bench.store.versions(KEY) == {
            ("InferenceService", "shapes"): ("u", 1),
            ("Deployment", "shapes-predictor"): ("d", 7),
            ("Pod", "p"): ("p", 1),
            ("Pod", "q"): ("q", 1),
        }
        assert client.named("get") == [
            ("Deployment", "shapes-predictor"),
            ("Service", "shapes-predictor"),
            ("Pod", "q"),
        ]
        assert bench.queued == 1

    asyncio.run(scenario())


def test_a_resync_finds_a_service_whose_event_was_lost_with_its_children() -> None:
    async def scenario() -> None:
        bench = Bench(MemoryApi(service(), child(), pod()))
        await bench.resync.resync()
        assert len(bench.store.versions(KEY)) == 3
        await bench.resync.resync()
        assert len(bench.client.named("get")) == 3, "each is read once"

    asyncio.run(scenario())


def test_a_resync_reads_nothing_that_would_not_be_kept() -> None:
    """Whoever labels a thousand objects must not make a thousand calls."""

    async def scenario() -> None:
        loose = [pod(f"loose-{number}") for number in range(9)]
        for body in loose:
            body["metadata"]["ownerReferences"] = []
        orphans = [pod(f"orphan-{n}", service="unknown") for n in range(9)]
        foreign = [child(name=f"shapes-predictor-{n}", owners=()) for n in range(9)]
        bench = Bench(MemoryApi(service(), *loose, *orphans, *foreign))
        bench.know()
        await bench.resync.resync()
        assert bench.client.named("get") == []

    asyncio.run(scenario())


def test_the_first_resync_comes_soon_and_a_failure_stops_none() -> None:
    async def scenario() -> None:
        client = MemoryApi(service())
        client.refuse = lambda call, *_: ApiError(503, "down") if call == "list_metadata" else None
        bench = Bench(client)
        with pytest.raises(asyncio.CancelledError):
            await bench.resync.run(600.0)
        first, *later = bench.slept
        assert first <= FIRST_RESYNC_SECONDS * 1.2
        assert all(600 * 0.8 <= pause <= 600 * 1.2 for pause in later)
        assert len(client.named("list_metadata")) == 3
        assert len(set(later)) > 1, "replicas do not coincide"

    asyncio.run(scenario())


def test_a_listing_that_lags_makes_nothing_forgotten() -> None:
    """Of several API servers one may be behind; the object itself is asked for before."""

    async def scenario() -> None:
        client = MemoryApi(service(), child(), pod())
        bench = Bench(client)
        bench.know()
        known, versions = dict(client.objects), bench.store.versions(KEY)
        assert len(versions) == 3

        def lag(call: str, kind: str, _: str) -> None:
            client.objects = known if call == "get" else {}

        client.refuse = lag
        await bench.resync.resync()
        assert bench.store.versions(KEY) == versions
        client.refuse = lambda *_: None
        client.objects = {}
        await bench.resync.resync()
        assert not bench.store.versions(KEY), "and what is gone is forgotten"

    asyncio.run(scenario())
