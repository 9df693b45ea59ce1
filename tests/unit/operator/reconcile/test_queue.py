"""The queue: no key is lost, none is worked on twice at once, pauses are kept."""

from __future__ import annotations

import asyncio

import pytest

from inference_operator.reconcile.queue import FIRST_BACKOFF_SECONDS, Priority, WorkQueue


async def waiting(queue: WorkQueue[str], seconds: float = 0.0) -> str | None:
    try:
        async with asyncio.timeout(seconds or 0.01):
            return await queue.take()
    except TimeoutError:
        return None


def test_a_key_added_often_comes_once() -> None:
    async def scenario() -> None:
        queue: WorkQueue[str] = WorkQueue()
        for _ in range(5):
            queue.add("a", Priority.STATUS)
        assert await waiting(queue) == "a"
        queue.done("a")
        assert await waiting(queue) is None

    asyncio.run(scenario())


def test_a_key_is_not_worked_on_twice_at_the_same_time() -> None:
    async def scenario() -> None:
        queue: WorkQueue[str] = WorkQueue()
        queue.add("a", Priority.SPEC)
        assert await queue.take() == "a"
        queue.add("a", Priority.SPEC)
        assert await waiting(queue) is None
        queue.done("a")
        assert await waiting(queue) == "a"

    asyncio.run(scenario())


def test_specs_go_first() -> None:
    async def scenario() -> None:
        queue: WorkQueue[str] = WorkQueue()
        queue.add("resync", Priority.RESYNC)
        queue.add("status", Priority.STATUS)
        queue.add("spec", Priority.SPEC)
        queue.add("resync", Priority.SPEC)  # raised
        taken = [await queue.take() for _ in range(3)]
        assert taken == ["spec", "resync", "status"]
        assert await waiting(queue) is None

    asyncio.run(scenario())


def test_a_burst_does_not_put_a_key_off_for_ever() -> None:
    async def scenario() -> None:
        queue: WorkQueue[str] = WorkQueue()
        for _ in range(20):
            queue.add("a", Priority.STATUS, 0.05)
            await asyncio.sleep(0.01)
            if len(queue):
                return
        pytest.fail("the key never became due")

    asyncio.run(scenario())


def test_a_failed_key_waits_longer_each_time() -> None:
    async def scenario() -> None:
        queue: WorkQueue[str] = WorkQueue()
        pauses = []
        for _ in range(3):
            queue.add("a", Priority.SPEC)
            assert await queue.take() == "a"
            pauses.append(queue.failed("a"))
        assert FIRST_BACKOFF_SECONDS * 0.8 <= pauses[0] <= FIRST_BACKOFF_SECONDS * 1.2
        assert pauses[0] < pauses[1] < pauses[2]

    asyncio.run(scenario())


def test_an_event_does_not_shorten_the_pause_but_a_new_spec_does() -> None:
    async def scenario() -> None:
        queue: WorkQueue[str] = WorkQueue()
        queue.add("a", Priority.SPEC)
        await queue.take()
        queue.add("a", Priority.STATUS)  # while it is being worked on
        assert queue.failed("a", retry_after=60) >= 60
        queue.add("a", Priority.STATUS, 0.001)
        assert await waiting(queue, 0.05) is None
        queue.add("a", Priority.SPEC)
        assert await waiting(queue) == "a"

    asyncio.run(scenario())


def test_a_forgotten_key_does_not_come_back() -> None:
    async def scenario() -> None:
        queue: WorkQueue[str] = WorkQueue()
        queue.add("a", Priority.STATUS, 0.01)
        queue.add("b", Priority.SPEC)
        queue.forget("a")
        queue.forget("b")
        assert await waiting(queue, 0.05) is None

    asyncio.run(scenario())
