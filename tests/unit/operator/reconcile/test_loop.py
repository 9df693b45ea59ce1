"""The loop alone decides when a key comes again, by the result of its pass."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from inference_operator.cache.store import Store
from inference_operator.errors import ApiError, ApiUnavailableError, ErrorDetails, NotLeadingError
from inference_operator.objects import Key
from inference_operator.reconcile.loop import Loop
from inference_operator.reconcile.queue import Priority, WorkQueue
from inference_operator.reconcile.reconciler import Result
from support.operator_objects import KEY, service


class ScriptedReconciler:
    """Each pass has the next of these results, or raises it."""

    def __init__(self, *results: Result | Exception) -> None:
        self._results = list(results)
        self.passes: list[tuple[Key, int]] = []
        self.read: list[Key] = []
        self.compared: list[Key] = []

    async def reconcile(self, key: Key, failures: int = 0) -> Result:
        self.passes.append((key, failures))
        result = self._results.pop(0)
        if isinstance(result, Exception):
            raise result
        return result

    async def read_missed(self, key: Key) -> None:
        self.read.append(key)

    def compare(self, key: Key) -> None:
        assert key in self.read, "a follower knows all that a leader would"
        self.compared.append(key)


class SpyQueue(WorkQueue[Key]):
    """A queue that remembers what it was told."""

    def __init__(self) -> None:
        super().__init__()
        self.told: list[tuple[Any, ...]] = []

    def add(self, key: Key, priority: Priority, delay: float = 0.0) -> None:
        self.told.append(("add", priority, delay))
        super().add(key, priority, delay)

    def done(self, key: Key) -> None:
        self.told.append(("done",))
        super().done(key)

    def failed(self, key: Key, retry_after: float | None = None) -> float:
        self.told.append(("failed", retry_after))
        return super().failed(key, retry_after)


def looping(
    *results: Result | Exception, leads: bool = True
) -> tuple[Loop, SpyQueue, ScriptedReconciler]:
    """The loop after one step for each result."""

    async def run() -> tuple[Loop, SpyQueue, ScriptedReconciler]:
        queue, reconciler = SpyQueue(), ScriptedReconciler(*results)
        loop = Loop(reconciler, queue, Store())  # type: ignore[arg-type]
        if leads:
            loop.active.set()
        for _ in results:
            queue.add(KEY, Priority.SPEC)
            queue.told.clear()
            await loop.step()
        return loop, queue, reconciler

    return asyncio.run(run())


GONE = ErrorDetails(kind="namespaces")


@pytest.mark.parametrize(
    ("result", "told"),
    [
        (Result(), [("done",)]),
        (Result(requeue_after_s=2.5), [("done",), ("add", Priority.STATUS, 2.5)]),
        (Result(requeue_after_s=0.0), [("done",), ("add", Priority.STATUS, 0.0)]),
        (ApiError(404, "not found", details=GONE), [("done",)]),
    ],
)
def test_a_pass_that_is_done(result: Any, told: list[Any]) -> None:
    loop, queue, _ = looping(result)
    assert queue.told == told
    assert (loop.reconciled, loop.failed) == (1, 0)


@pytest.mark.parametrize(
    ("result", "retry_after"),
    [
        (Result(failed=True), None),
        (ApiError(403, "forbidden"), None),
        (ApiUnavailableError(429, "busy", "", 7.0), 7.0),
        (RuntimeError("a bug"), None),
    ],
)
def test_a_pass_that_failed(
    result: Any, retry_after: float | None, caplog: pytest.LogCaptureFixture
) -> None:
    loop, queue, _ = looping(result)
    assert queue.told[0] == ("failed", retry_after)
    assert ("done",) not in queue.told
    assert loop.failed == 1
    assert ("failed unexpectedly" in caplog.text) is isinstance(result, RuntimeError)


def test_failures_in_a_row_are_counted_for_the_reconciler() -> None:
    failed = Result(failed=True)
    _, _, reconciler = looping(failed, ApiError(500, "x"), RuntimeError(), Result(), Result())
    assert [failures for _, failures in reconciler.passes] == [0, 1, 2, 3, 0]


def test_a_follower_compares_and_writes_nothing() -> None:
    loop, queue, reconciler = looping(Result(), leads=False)
    assert reconciler.passes == []
    assert reconciler.compared == [KEY]
    assert queue.told == [("done",)]
    assert loop.reconciled == 0


def in_a_loop(scenario: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(scenario())


def test_who_begins_to_lead_reconciles_everything() -> None:
    async def scenario() -> None:
        store, queue = Store(), SpyQueue()
        for name in ("a", "b"):
            store.put_service(("vision", name), service(name=name))
        loop = Loop(ScriptedReconciler(), queue, store)  # type: ignore[arg-type]
        loop.lead()
        assert loop.active.is_set()
        assert len(queue) == 2
        loop.lead(leads=False)
        assert not loop.active.is_set()

    in_a_loop(scenario)


def test_a_pass_that_may_not_write_is_no_failure() -> None:
    """Another replica leads by now; it does what is left to do."""
    loop, queue, _ = looping(NotLeadingError())
    assert queue.told == [("done",)]
    assert loop.failed == 0
