"""The measurements of an operator, each on its own: creation, drift, restart, idleness."""

from __future__ import annotations

import asyncio
import contextlib
import time
import urllib.request
from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from typing import Any

from bench import stats
from bench.control.api import Api, written
from bench.control.objects import NAMESPACE, child_name, children, service
from bench.control.presence import Presence

CREATORS = 32
REPAIRS = 20
LOST = 10


async def in_parallel(jobs: Iterable[Callable[[], Awaitable[object]]], workers: int) -> None:
    """Run all jobs, at most ``workers`` at once, in order."""
    waiting = iter(jobs)

    async def work() -> None:
        for job in waiting:
            await job()

    await asyncio.gather(*(work() for _ in range(workers)))


async def bare(api: Api, count: int, workers: int, *, resource: bool) -> dict[str, Any]:
    """Apply the children of ``count`` services; with ``resource``, create the service first too."""

    async def one(number: int) -> None:
        if resource:
            await api.create("InferenceService", NAMESPACE, service(number))
        for child in children(number):
            await api.apply(child, "bare")

    async with Presence(api) as presence:
        begun = time.monotonic()
        await in_parallel((partial(one, n) for n in range(count)), workers)
        await presence.all_of({child_name(n) for n in range(count)}, 60)
        return {"per_second": round(count / (last(presence, count) - begun), 2)}


async def creation(api: Api, count: int, patience: float) -> dict[str, Any]:
    """Create ``count`` services at once and wait for all their children.

    Raises:
        TimeoutError: Some children are missing after ``patience`` seconds.
    """
    sent: dict[int, float] = {}

    async def one(number: int) -> None:
        sent[number] = time.monotonic()
        await api.create("InferenceService", NAMESPACE, service(number))

    async with Presence(api) as presence:
        begun = time.monotonic()
        await in_parallel((partial(one, n) for n in range(count)), CREATORS)
        created = time.monotonic() - begun
        await presence.all_of({child_name(n) for n in range(count)}, patience)
        took = [presence.complete(child_name(n)) - sent[n] for n in range(count)]
        return {
            "per_second": round(count / (last(presence, count) - begun), 2),
            "creating_seconds": round(created, 2),
            "p50_s": round(stats.percentile(took, 0.5), 3),
            "p99_s": round(stats.percentile(took, 0.99), 3),
        }


def last(presence: Presence, count: int) -> float:
    """When the last child of the last service appeared."""
    return max(presence.complete(child_name(number)) for number in range(count))


async def settled(api: Api, quiet: float, patience: float) -> bool:
    """Wait until nobody has written for ``quiet`` seconds; False when that does not come."""
    deadline = time.monotonic() + patience
    before, since = await api.counts(), time.monotonic()
    while time.monotonic() < deadline:
        await asyncio.sleep(0.5)
        after = await api.counts()
        if written(before, after):
            before, since = after, time.monotonic()
        elif time.monotonic() - since >= quiet:
            return True
    return False


async def drift(api: Api, count: int) -> dict[str, Any]:
    """Change children by hand, one after another, and time each repair from the change's answer.

    Raises:
        TimeoutError: One was not repaired within half a minute.
    """
    took = []
    for number in range(0, count, max(1, count // REPAIRS)):
        name = child_name(number)
        version = await api.version("HorizontalPodAutoscaler", NAMESPACE)
        await api.merge("HorizontalPodAutoscaler", NAMESPACE, name, {"spec": {"maxReplicas": 9}})
        begun = time.monotonic()
        await asyncio.wait_for(_repaired(api, name, version), 30)
        took.append((time.monotonic() - begun) * 1000)
    return {
        "drift_p50_ms": round(stats.percentile(took, 0.5), 1),
        "drift_p99_ms": round(stats.percentile(took, 0.99), 1),
    }


async def _repaired(api: Api, name: str, version: str) -> None:
    events = api.watch("HorizontalPodAutoscaler", NAMESPACE, version, whole=True)
    changed = False
    async with contextlib.aclosing(events):  # type: ignore[type-var]
        async for event in events:
            found = event["object"]
            if found["metadata"]["name"] == name:
                changed = changed or found["spec"]["maxReplicas"] == 9
                if changed and found["spec"]["maxReplicas"] == 3:
                    return


async def lose(api: Api, count: int) -> set[str]:
    """Delete some Deployments, spread over all services; gives their names."""
    names = {child_name(number) for number in range(0, count, max(1, count // LOST))}
    for name in sorted(names):
        path = f"apis/apps/v1/namespaces/{NAMESPACE}/deployments/{name}"
        await api.call("DELETE", path)
    return names


async def caught_up(api: Api, lost: set[str], patience: float) -> None:
    """Wait until these Deployments exist again.

    Raises:
        TimeoutError: They do not in time.
    """
    deadline = time.monotonic() + patience
    path = f"apis/apps/v1/namespaces/{NAMESPACE}/deployments"
    while time.monotonic() < deadline:
        there = 0
        for name in lost:
            with contextlib.suppress(Exception):
                await api.call("GET", f"{path}/{name}")
                there += 1
        if there == len(lost):
            return
        await asyncio.sleep(0.05)
    raise TimeoutError(f"{len(lost) - there} of {len(lost)} lost Deployments are still missing")


async def ready(port: int, patience: float = 60.0) -> None:
    """Wait until the operator says that it is ready.

    Raises:
        TimeoutError: It does not.
    """
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError):
            url = f"http://127.0.0.1:{port}/readyz"
            with urllib.request.urlopen(url, timeout=2) as answer:
                if answer.status == 200:
                    return
        await asyncio.sleep(0.05)
    raise TimeoutError("the operator is not ready after a minute")
