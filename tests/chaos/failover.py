"""Two operators under constant change: the one that works dies or freezes, the other takes over."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import signal
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field

from chaos.laboratory import PATIENCE_SECONDS, Laboratory, tracebacks
from chaos.process import Process
from chaos.proxy import Proxy, Thing, Write
from chaos.scenarios import Person
from chaos.state import NAME, PLURAL, look
from support.api import ApiFailed, Json
from support.control_plane import SYSTEM

SERVICES = 8
_CHANGE_SECONDS = 0.3
_BUSY_SECONDS = 3.0
_LEASE = f"apis/coordination.k8s.io/v1/namespaces/{SYSTEM}/leases/inference-operator"


@dataclass
class Handover:
    """What one change of the leader was like.

    `seconds` is the time from the signal to the first write of the other; `late` are writes of the
    former leader after that, `idle` writes of the new one that changed nothing.
    """

    seconds: float
    late: list[Write] = field(default_factory=list)
    idle: list[Write] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Replica:
    """One of the two operators with its proxy."""

    proxy: Proxy
    process: Process

    def writes(self, since: float) -> list[Write]:
        """What it wrote since then, but for Leases."""
        return [
            write
            for write in self.proxy.writes
            if write.at >= since and write.mark.resource != "leases"
        ]


class Changes:
    """Somebody who changes one service after another, and knows what each should be by now."""

    def __init__(self, people: Sequence[Person], namespaces: Sequence[str]) -> None:
        self._people = people
        self._namespaces = namespaces
        self.wanted: dict[str, str] = {}

    async def __aenter__(self) -> Changes:
        self._task = asyncio.create_task(self._run())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task

    async def _run(self) -> None:
        for number in itertools.count():
            one = number % len(self._people)
            value = str(number)
            # Shielded: a change that was sent has happened, whether or not the answer came.
            self.wanted[self._namespaces[one]] = value
            await asyncio.shield(
                self._people[one].patch(model={"env": [{"name": "NUMBER", "value": value}]})
            )
            await asyncio.sleep(_CHANGE_SECONDS)


async def hand_over(laboratory: Laboratory, how: signal.Signals) -> list[Handover]:
    """SIGKILL or SIGSTOP for the leader; a frozen one is woken up afterwards, and leads again."""
    with contextlib.suppress(ApiFailed):
        await laboratory.api.call("DELETE", _LEASE)
    namespaces = await laboratory.namespaces(SERVICES)
    people = [Person(laboratory.api, name) for name in namespaces]
    await asyncio.gather(*(one.create(minReplicas=1, maxReplicas=1) for one in people))
    result = []
    async with _two(laboratory, namespaces) as (first, second):
        changes = Changes(people, namespaces)
        result.append(await _once(laboratory, changes, (first, second), how))
        if how is signal.SIGSTOP:
            result.append(await _once(laboratory, changes, (second, first), signal.SIGKILL))
        result[-1].failures += tracebacks(first.process) + tracebacks(second.process)
    await laboratory.clear(namespaces)
    return result


@contextlib.asynccontextmanager
async def _two(
    laboratory: Laboratory, namespaces: Sequence[str]
) -> AsyncIterator[tuple[Replica, Replica]]:
    """Two replicas with the settings they are deployed with; the first leads."""
    versions: dict[Thing, str] = {}
    async with contextlib.AsyncExitStack() as stack:
        replicas: list[Replica] = []
        for name in ("first", "second"):
            proxy = await stack.enter_async_context(laboratory.proxy(versions=versions))
            operator = laboratory.operator(proxy, namespaces, LEADER_ELECT="true", IDENTITY=name)
            process = await stack.enter_async_context(operator)
            await process.started()
            if not replicas:
                await _until_leads(process)
            replicas.append(Replica(proxy, process))
        # Both ends of a frozen process: it must be awake to be asked to stop.
        stack.callback(replicas[0].process.send, signal.SIGCONT)
        yield replicas[0], replicas[1]


async def _until_leads(process: Process) -> None:
    deadline = asyncio.get_running_loop().time() + PATIENCE_SECONDS
    while not await process.leads():
        assert asyncio.get_running_loop().time() < deadline, f"{process.log} does not lead"
        await asyncio.sleep(0.1)


async def _once(
    laboratory: Laboratory,
    changes: Changes,
    replicas: tuple[Replica, Replica],
    how: signal.Signals,
) -> Handover:
    """The leader, first of the two, is killed or frozen under change; the other goes on."""
    leader, other = replicas
    loop = asyncio.get_running_loop()
    async with changes:
        await asyncio.sleep(_BUSY_SECONDS)
        leader.process.send(how)
        struck = loop.time()
        while not other.writes(struck):
            assert loop.time() - struck < PATIENCE_SECONDS, "nobody takes over"
            await asyncio.sleep(0.02)
        taken = other.writes(struck)[0].at
        await asyncio.sleep(_BUSY_SECONDS)
        if how is signal.SIGSTOP:
            leader.process.send(signal.SIGCONT)
            await asyncio.sleep(_BUSY_SECONDS)
    result = Handover(taken - struck)
    result.failures += await _all_as_wanted(laboratory, changes)
    result.late = leader.writes(taken)
    result.idle = [write for write in other.writes(struck) if write.idle]
    return result


async def _all_as_wanted(laboratory: Laboratory, changes: Changes) -> list[str]:
    """Wait until the last change of every service is carried out and told."""
    deadline = asyncio.get_running_loop().time() + PATIENCE_SECONDS
    while True:
        found = await look(laboratory.api)
        wrong = [
            f"{name}: {value} is not carried out"
            for name, value in changes.wanted.items()
            if not _is_as_wanted(found[name], value)
        ]
        if not wrong or asyncio.get_running_loop().time() > deadline:
            return wrong
        await asyncio.sleep(0.5)


def _is_as_wanted(objects: dict[str, list[Json]], value: str) -> bool:
    (service,) = objects[PLURAL]
    containers = [
        container
        for one in objects["deployments"]
        if one["metadata"]["name"] == f"{NAME}-predictor"
        for container in one["spec"]["template"]["spec"]["containers"]
    ]
    values = [e.get("value") for c in containers for e in c["env"] if e["name"] == "NUMBER"]
    ready: Json = next(
        (c for c in (service.get("status") or {}).get("conditions", ()) if c["type"] == "Ready"), {}
    )
    seen = ready.get("observedGeneration") == service["metadata"]["generation"]
    return values == [value] and seen and ready["status"] == "True"
