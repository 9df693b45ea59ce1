"""A watch goes on from its last event; when it cannot, what is gone is noticed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from inference_operator.cache.store import Store
from inference_operator.errors import ApiError, ApiUnavailableError
from inference_operator.kubernetes import watch
from inference_operator.reconcile.observer import Observer
from inference_operator.reconcile.queue import WorkQueue
from inference_operator.reconcile.resync import Resync
from support import operator_objects as objects
from support.operator_objects import KEY, pod

Body = dict[str, Any]


def event(change: str, body: Body) -> Body:
    return {"type": change, "object": body}


def bookmark(version: int) -> Body:
    return event("BOOKMARK", {"metadata": {"resourceVersion": str(version)}})


class ScriptedClient:
    """Answers each watch with the next stream; a stream may end in an error."""

    def __init__(self, streams: list[list[Body | Exception]], listed: list[Body]) -> None:
        self.asked: list[str] = []
        self.over = asyncio.Event()
        self._streams = streams
        self._listed = listed

    async def list_all(self, kind: str, namespace: str) -> AsyncIterator[tuple[str, list[Body]]]:
        self.asked.append(f"list {kind} {namespace}")
        yield "100", self._listed

    async def watch(self, kind: str, namespace: str, version: str) -> AsyncGenerator[Body]:
        self.asked.append(f"watch {kind} {namespace} from {version}")
        if not self._streams:
            self.over.set()
            await asyncio.Event().wait()
        for one in self._streams.pop(0):
            if isinstance(one, Exception):
                raise one
            yield one


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "FIRST_PAUSE_SECONDS", 0.001)


def run(
    streams: list[list[Body | Exception]], listed: list[Body] | None = None
) -> tuple[Store, list[str]]:
    """Watch from version 5 until all streams have been read."""

    async def scenario() -> tuple[Store, list[str]]:
        client = ScriptedClient(streams, listed or [])
        observer = Observer(Store(), WorkQueue(), 0.0)
        observer.observe("InferenceService", None, objects.service())
        observer.observe("Deployment", None, objects.child())
        resync = Resync(client, observer, lambda _: None)  # type: ignore[arg-type]
        watching = watch.Watch(
            client,  # type: ignore[arg-type]
            ("Pod", "vision"),
            "5",
            observer.observe,
            resync.relist,
        )
        task = asyncio.create_task(watching.run())
        async with asyncio.timeout(10):
            await client.over.wait()
        assert not task.done()
        task.cancel()
        return observer.store, client.asked

    return asyncio.run(scenario())


def pods(store: Store) -> list[str]:
    return [one.name for one in store.observed(KEY).pods]


def test_events_are_taken_in() -> None:
    gone = pod("a", 8)
    store, asked = run(
        [[event("ADDED", pod("a", 6)), event("MODIFIED", pod("b", 7)), event("DELETED", gone)]]
    )
    assert pods(store) == ["b"]
    assert asked == ["watch Pod vision from 5", "watch Pod vision from 8"]


def test_a_bookmark_moves_on_and_changes_nothing() -> None:
    store, asked = run([[event("ADDED", pod("a", 6)), bookmark(90)], []])
    assert pods(store) == ["a"]
    assert asked == [
        "watch Pod vision from 5",
        "watch Pod vision from 90",
        "watch Pod vision from 90",
    ]


def test_a_broken_stream_goes_on_where_it_was() -> None:
    broken = ApiUnavailableError(0, "ClientPayloadError")
    store, asked = run([[event("ADDED", pod("a", 6)), broken], [broken], []])
    assert pods(store) == ["a"]
    assert asked == ["watch Pod vision from 5", *["watch Pod vision from 6"] * 3]


def test_what_went_while_the_watch_was_too_old_is_forgotten() -> None:
    expired = ApiError(410, "too old resource version", "Expired")
    seen: list[Body | Exception] = [event("ADDED", pod(n, 6)) for n in ("stays", "goes")]
    store, asked = run([seen, [expired]], [pod("stays", 6), pod("new", 60)])
    assert pods(store) == ["new", "stays"]
    assert asked == [
        "watch Pod vision from 5",
        "watch Pod vision from 6",
        "list Pod vision",
        "watch Pod vision from 100",
    ]


def test_an_object_that_brings_out_a_bug_hides_no_other(caplog: pytest.LogCaptureFixture) -> None:
    strange = {"metadata": {"resourceVersion": "6", "labels": "none"}}
    store, _ = run([[event("ADDED", strange), event("ADDED", pod("a", 7))]])
    assert pods(store) == ["a"]
    assert "could not be processed" in caplog.text


def test_an_unexpected_failure_ends_no_watch(caplog: pytest.LogCaptureFixture) -> None:
    store, _ = run([[RuntimeError("a bug")], [event("ADDED", pod("a", 7))]])
    assert pods(store) == ["a"]
    assert "failed unexpectedly" in caplog.text


def test_pauses_grow_until_an_event_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep

    async def noted(seconds: float) -> None:
        pauses.append(seconds)
        await sleep(0)

    monkeypatch.setattr(asyncio, "sleep", noted)
    refused = ApiUnavailableError(503, "starting")
    run([[refused], [refused], [refused], [bookmark(6), refused], [refused]])
    assert pauses[0] < pauses[1] < pauses[2]
    assert pauses[3] < pauses[2]
