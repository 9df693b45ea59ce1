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


def by_namespace(most: int | None = None) -> WorkQueue[tuple[str, str]]:
    return WorkQueue(group=lambda key: key[0], most=most)


def test_one_namespace_of_many_keys_does_not_keep_another_waiting() -> None:
    async def scenario() -> None:
        queue = by_namespace()
        for number in range(500):
            queue.add(("crowded", str(number)), Priority.SPEC)
        queue.add(("quiet", "a"), Priority.SPEC)
        queue.add(("quiet", "b"), Priority.SPEC)
        taken = [await queue.take() for _ in range(5)]
        assert [name for namespace, name in taken if namespace == "quiet"] == ["a", "b"]

    asyncio.run(scenario())


@pytest.mark.parametrize("priority", [Priority.STATUS, Priority.RESYNC])
def test_a_stream_of_edits_leaves_turns_to_everything_else(priority: Priority) -> None:
    """One tenant who edits without end must not hide how the services of others are."""

    async def scenario() -> None:
        queue = by_namespace()
        queue.add(("quiet", "a"), priority)
        for number in range(20):
            queue.add(("busy", str(number)), Priority.SPEC)
            namespace, name = await queue.take()
            queue.done((namespace, name))
            if namespace == "quiet":
                return
            queue.add(("busy", name), Priority.SPEC)
        pytest.fail("twenty edits of somebody else went before it")

    asyncio.run(scenario())


def test_slow_answers_to_one_namespace_leave_workers_to_others() -> None:
    async def scenario() -> None:
        queue: WorkQueue[tuple[str, str]] = by_namespace(most=2)
        for number in range(4):
            queue.add(("slow", str(number)), Priority.SPEC)
        held = [await queue.take() for _ in range(2)]
        waiting_worker = asyncio.create_task(queue.take())
        await asyncio.sleep(0)
        assert not waiting_worker.done(), "a third of the same namespace"
        queue.add(("quiet", "a"), Priority.RESYNC)
        assert await asyncio.wait_for(waiting_worker, 1) == ("quiet", "a")
        waiting_worker = asyncio.create_task(queue.take())
        await asyncio.sleep(0)
        queue.failed(held[0])
        assert await asyncio.wait_for(waiting_worker, 1) == ("slow", "2")

    asyncio.run(scenario())


def test_the_age_is_that_of_the_key_that_waits_longest() -> None:
    async def scenario() -> None:
        queue = by_namespace()
        assert queue.oldest_s() == 0
        queue.add(("a", "first"), Priority.RESYNC)
        await asyncio.sleep(0.02)
        queue.add(("b", "second"), Priority.SPEC)
        queue.add(("a", "first"), Priority.STATUS)  # more urgent now, but not younger
        assert queue.oldest_s() >= 0.02
        await queue.take()
        await queue.take()
        assert queue.oldest_s() == 0
        queue.add(("a", "first"), Priority.SPEC, delay=5)
        assert queue.oldest_s() == 0, "what is put off is not late"

    asyncio.run(scenario())
