"""Runs of a scenario: undisturbed, with faults in a living operator, and with crashes."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass, field

from chaos.laboratory import (
    QUIET_SECONDS,
    RESYNC_SECONDS,
    Laboratory,
    tracebacks,
    unknown_kinds,
)
from chaos.process import Process
from chaos.proxy import CRASHES, TO_EVENTS, TO_WRITES, Does, Fault, Mark, Proxy
from chaos.scenarios import Person, Scenario
from chaos.state import PATHS, State, differences
from support.api import METADATA_LIST, Json

BATCH = 48
AT_ONCE = 4


@dataclass(frozen=True)
class Baseline:
    """What a scenario leads to without a fault, and the points at which faults can happen."""

    before: State
    after: State
    marks: tuple[Mark, ...]
    told: tuple[tuple[str, str], ...]

    def writes(self) -> list[Mark]:
        """Every write."""
        return [mark for mark in self.marks if mark.kind == "write"]

    def events(self) -> list[Mark]:
        """Every event of a watch."""
        return [mark for mark in self.marks if mark.kind == "event"]

    def listed(self) -> list[Mark]:
        """Every kind that is listed."""
        return sorted({mark for mark in self.marks if mark.kind == "list"})


@dataclass
class Result:
    """What came of a number of faults.

    `missed` are faults whose moment did not come, because the run took another course.
    """

    faults: int = 0
    missed: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    def __iadd__(self, other: Result) -> Result:
        self.faults += other.faults
        self.missed += other.missed
        self.failures += other.failures
        return self


@contextlib.asynccontextmanager
async def _running(
    laboratory: Laboratory, namespaces: Sequence[str], *, one_by_one: bool = False
) -> AsyncIterator[tuple[Proxy, Process]]:
    """An operator that works, behind a proxy of its own."""
    async with (
        laboratory.proxy(one_by_one=one_by_one) as proxy,
        laboratory.operator(proxy, namespaces) as operator,
    ):
        await operator.started()
        yield proxy, operator


async def undisturbed(laboratory: Laboratory, scenario: Scenario, twins: int = 2) -> Baseline:
    """Run a scenario without faults, in some namespaces that must all come out the same."""
    names = await laboratory.namespaces(twins)
    people = [Person(laboratory.api, name) for name in names]
    async with _running(laboratory, names) as (proxy, operator):
        await asyncio.gather(*(scenario.begin(one) for one in people))
        await laboratory.rest(proxy, names, QUIET_SECONDS)
        before = _same(await laboratory.states(names))
        for name in names:
            proxy.begin(name)
        await asyncio.gather(*(scenario.act(one) for one in people))
        await laboratory.rest(proxy, names, QUIET_SECONDS)
        after = _same(await laboratory.states(names))
        assert not unknown_kinds(proxy), f"written but never compared: {unknown_kinds(proxy)}"
        marks = sorted({mark for name in names for mark in proxy.spaces[name].marks})
        told = max([await laboratory.told(name) for name in names], key=len)
    assert not tracebacks(operator), tracebacks(operator)
    await laboratory.clear(names)
    return Baseline(before, after, tuple(marks), tuple(told))


def _same(states: dict[str, State]) -> State:
    first, *others = states.values()
    for other in others:
        assert other == first, differences(other, first)
    return first


def steady_faults(baseline: Baseline) -> list[Fault]:
    """Every fault that a living operator can meet in a scenario."""
    return [
        *(Fault(does, mark) for mark in baseline.writes() for does in TO_WRITES),
        *(Fault(does, mark) for mark in baseline.events() for does in TO_EVENTS),
        *(Fault(Does.STALE, mark) for mark in baseline.listed()),
    ]


async def with_faults(
    laboratory: Laboratory, scenario: Scenario, baseline: Baseline, faults: Sequence[Fault]
) -> Result:
    """One operator, one namespace for each fault; a batch at a time."""
    result = Result()
    for first in range(0, len(faults), BATCH):
        result += await _batch(laboratory, scenario, baseline, faults[first : first + BATCH])
    return result


async def _batch(
    laboratory: Laboratory, scenario: Scenario, baseline: Baseline, faults: Sequence[Fault]
) -> Result:
    names = await laboratory.namespaces(len(faults))
    people = [Person(laboratory.api, name) for name in names]
    result = Result(len(faults))
    async with _running(laboratory, names) as (proxy, operator):
        await asyncio.gather(*(scenario.begin(one) for one in people))
        wrong = await laboratory.settle(dict.fromkeys(names, baseline.before))
        assert not wrong, f"before any fault: {wrong}"
        for name, fault in zip(names, faults, strict=True):
            if fault.does is Does.STALE:
                fault.old = await _old(laboratory, name, fault.mark.resource)
            proxy.begin(name, fault)
        await asyncio.gather(*(scenario.act(one) for one in people))
        # Not before every fault could happen: some come with the resync.
        await asyncio.sleep(1.5 * RESYNC_SECONDS)
        wrong = await laboratory.settle(dict.fromkeys(names, baseline.after))
        writes = len(proxy.writes)
        await asyncio.sleep(QUIET_SECONDS)
        for name, fault in zip(names, faults, strict=True):
            late = [write for write in proxy.writes[writes:] if write.namespace == name]
            result += await _judge(laboratory, baseline, fault, name, wrong.get(name, []), late)
        result.failures += tracebacks(operator)
    await laboratory.clear(names)
    return result


async def _judge(
    laboratory: Laboratory,
    baseline: Baseline,
    fault: Fault,
    namespace: str,
    wrong: Iterable[str],
    late: Sequence[object],
) -> Result:
    """What came of one fault."""
    what = f"{fault.does.value}: {fault.mark}"
    result = Result()
    if not fault.fired:
        result.missed.append(what)
    result.failures += [f"{what}: {difference}" for difference in wrong]
    if late:
        result.failures.append(f"{what}: does not come to rest: {late[:3]}")
    told = list(await laboratory.told(namespace))
    for one in baseline.told:
        if one in told:
            told.remove(one)
    if told:
        result.failures.append(f"{what}: told for nothing: {told}")
    return result


async def with_crashes(
    laboratory: Laboratory, scenario: Scenario, baseline: Baseline, faults: Sequence[Fault]
) -> Result:
    """An operator and a namespace for each fault: killed once, started again."""
    names = await laboratory.namespaces(len(faults))
    await _prepared(laboratory, scenario, baseline, names)
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(name: str, fault: Fault) -> Result:
        async with gate:
            return await _crash(laboratory, scenario, baseline, fault, name)

    results = await asyncio.gather(*map(one, names, faults))
    await laboratory.clear(names)
    total = Result(len(faults))
    for result in results:
        total += result
    return total


def crash_faults(baseline: Baseline) -> list[Fault]:
    """A crash before and after every write, and before every event where nothing is written."""
    if not baseline.writes():
        return [Fault(Does.CRASH_BEFORE, mark) for mark in baseline.events()]
    return [Fault(does, mark) for mark in baseline.writes() for does in CRASHES]


async def _prepared(
    laboratory: Laboratory, scenario: Scenario, baseline: Baseline, names: Sequence[str]
) -> None:
    """Bring namespaces to where a scenario begins."""
    async with _running(laboratory, names):
        await asyncio.gather(*(scenario.begin(Person(laboratory.api, name)) for name in names))
        wrong = await laboratory.settle(dict.fromkeys(names, baseline.before))
        assert not wrong, f"before any fault: {wrong}"


async def _crash(
    laboratory: Laboratory, scenario: Scenario, baseline: Baseline, fault: Fault, name: str
) -> Result:
    result = Result()
    async with laboratory.proxy(one_by_one=True) as proxy:
        async with laboratory.operator(proxy, [name]) as first:
            await first.started()
            crashed = asyncio.Event()

            async def crash() -> None:
                proxy.reborn()
                await first.kill()
                crashed.set()

            proxy.crash = crash
            proxy.begin(name, fault)
            await scenario.act(Person(laboratory.api, name))
            await _either(crashed, laboratory.settle({name: baseline.after}))
            if not crashed.is_set():
                # The last write may come after the state is right, as an Event does.
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(crashed.wait(), RESYNC_SECONDS)
            result.failures += tracebacks(first)
        async with laboratory.operator(proxy, [name]) as second:
            await second.started()
            wrong = await laboratory.settle({name: baseline.after})
            writes = len(proxy.writes)
            await asyncio.sleep(QUIET_SECONDS)
            late = proxy.writes[writes:]
            judged = await _judge(laboratory, baseline, fault, name, wrong.get(name, []), late)
            result += judged
            result.failures += tracebacks(second)
    return result


async def _either(event: asyncio.Event, work: object) -> None:
    """Until the event is set or the work is done."""
    tasks = [asyncio.ensure_future(event.wait()), asyncio.ensure_future(work)]  # type: ignore[call-overload]
    _, pending = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in pending:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def with_stale_restarts(
    laboratory: Laboratory, scenario: Scenario, baseline: Baseline
) -> Result:
    """Restarts at an API server that is behind: each kind's first list is from before the act.

    The watch that follows is silent for a while, then tells what came after.
    """
    resources = [mark.resource for mark in baseline.listed()]
    names = await laboratory.namespaces(len(resources))
    await _prepared(laboratory, scenario, baseline, names)
    old = [
        await _old(laboratory, name, resource)
        for name, resource in zip(names, resources, strict=True)
    ]
    async with _running(laboratory, names):
        await asyncio.gather(*(scenario.act(Person(laboratory.api, name)) for name in names))
        wrong = await laboratory.settle(dict.fromkeys(names, baseline.after))
        assert not wrong, f"before any fault: {wrong}"
    async with laboratory.proxy() as proxy:
        faults = []
        for name, resource, lists in zip(names, resources, old, strict=True):
            faults.append(Fault(Does.STALE, Mark("list", resource), old=lists))
            proxy.begin(name, faults[-1])
        async with laboratory.operator(proxy, names) as operator:
            await operator.started()
            await asyncio.sleep(1.5 * RESYNC_SECONDS)
            wrong = await laboratory.settle(dict.fromkeys(names, baseline.after))
            writes = len(proxy.writes)
            await asyncio.sleep(QUIET_SECONDS)
            result = Result(len(faults))
            for name, fault in zip(names, faults, strict=True):
                late = [write for write in proxy.writes[writes:] if write.namespace == name]
                result += await _judge(laboratory, baseline, fault, name, wrong.get(name, []), late)
            result.failures += tracebacks(operator)
    await laboratory.clear(names)
    return result


async def _old(laboratory: Laboratory, namespace: str, resource: str) -> tuple[Json, Json]:
    """The lists of a kind as the API server gives them now, of objects and of metadata."""
    path = PATHS[resource].format(f"namespaces/{namespace}/")
    return (
        await laboratory.api.call("GET", path),
        await laboratory.api.call("GET", path, Accept=METADATA_LIST),
    )
