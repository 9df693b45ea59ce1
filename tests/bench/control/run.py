"""The operator benchmark's order of work and its rows."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from bench import paths
from bench.control import measure, subjects
from bench.control.api import Api, written
from bench.control.objects import NAMESPACE
from bench.control.plane import control_plane
from bench.processes import Running, free_port
from bench.turns import Taker, Turn

FULL = (100, 500, 2000)
QUICK = (100,)
RESYNC = 5.0
BARE_WORKERS = (8, 32)
# Seconds until a control plane is there, and services per second on two cores.
PLANE_GUESS = 12.0
RATE_GUESS = 14.0


class OperatorBench:
    """Runs every contestant at every size, each on a fresh control plane.

    Args:
        counts: How many InferenceServices.
        naive: Whether to run the naive operator too.
        taker: Takes the turns.
    """

    def __init__(self, counts: Sequence[int], taker: Taker, *, naive: bool) -> None:
        self._counts = counts
        self._naive = naive
        self._taker = taker

    def expect_seconds(self) -> float:
        """How long the plan should take."""
        return sum(self._guess(name, count) for name in self._names() for count in self._counts)

    def _names(self) -> list[str]:
        contestants = [subjects.BARE, subjects.OURS]
        return [*contestants, subjects.NAIVE] if self._naive else contestants

    def _guess(self, name: str, count: int) -> float:
        planes = len(BARE_WORKERS) + 1 if name == subjects.BARE else 1
        guess = planes * (PLANE_GUESS + count / RATE_GUESS)
        return guess + (45 + count / 40 if name == subjects.OURS else 0)

    def run(self) -> None:
        """Every contestant at every size, neighbours in time, so that they share the weather."""
        for count in self._counts:
            for name in self._names():
                common = {"bench": "operator", "contestant": name, "services": count}
                text = f"operator: {count} services: {name}"
                turn = Turn(text, self._guess(name, count), common)
                self._taker.take(turn, partial(self._one, turn, name, count))

    def _one(self, turn: Turn, name: str, count: int) -> None:
        if name == subjects.BARE:
            speeds = {
                workers: self._bare(turn, count, workers, resource=False)
                for workers in BARE_WORKERS
            }
            self._bare(turn, count, max(speeds, key=lambda w: speeds[w]), resource=True)
            return
        with control_plane() as kubeconfig:
            work = _ours(kubeconfig, count) if name == subjects.OURS else _naive(kubeconfig, count)
            self._taker.add(turn, kind="operator", **asyncio.run(work))

    def _bare(self, turn: Turn, count: int, workers: int, *, resource: bool) -> float:
        """One pass of the bare client; gives its services per second."""
        with control_plane() as kubeconfig:
            row = asyncio.run(_bare(kubeconfig, count, workers, resource=resource))
        self._taker.add(turn, kind="bare", workers=workers, with_resource=resource, **row)
        return float(row["per_second"])


async def _prepare(api: Api) -> None:
    """The namespace and the CRD."""
    await api.call("POST", "api/v1/namespaces", {"metadata": {"name": NAMESPACE}})
    text = (paths.ROOT / "crds" / "inferenceservices.yaml").read_text(encoding="utf-8")
    definition = yaml.safe_load(text)
    path = "apis/apiextensions.k8s.io/v1/customresourcedefinitions"
    await api.call("POST", path, definition)
    await api.wait_for_crd()
    # The API server publishes a new kind's schema in the background; the rest should not pay.
    await asyncio.sleep(3)


async def _bare(kubeconfig: Path, count: int, workers: int, *, resource: bool) -> dict[str, Any]:
    async with Api(kubeconfig) as api:
        await _prepare(api)
        return await measure.bare(api, count, workers, resource=resource)


async def _ours(kubeconfig: Path, count: int) -> dict[str, Any]:
    async with Api(kubeconfig) as api:
        await _prepare(api)
        port = free_port()
        with subjects.ours(kubeconfig, port) as running:
            await measure.ready(port)
            await asyncio.sleep(2)
            row = await _created(api, running, count)
            row |= await measure.drift(api, count)
        lost = await measure.lose(api, count)
        begun = time.monotonic()
        with subjects.ours(kubeconfig, port, RESYNC) as running:
            await measure.caught_up(api, lost, 120)
            row["restart_seconds"] = round(time.monotonic() - begun, 2)
            row |= await _idle(api, running)
        return row


async def _created(api: Api, running: Running, count: int) -> dict[str, Any]:
    empty = running.memory()
    before, cpu = await api.counts(), running.cpu()
    row = await measure.creation(api, count, patience=60 + count / 5)
    row["cpu_ms_per_service"] = round((running.cpu() - cpu) * 1000 / count, 2)
    row["settled"] = await measure.settled(api, 5, patience=60 + count / 5)
    calls = written(before, await api.counts()) - count
    full = running.memory()
    return {
        **row,
        "calls_per_service": round(calls / count, 2),
        "empty_mb": round(empty / 1e6, 1),
        "full_mb": round(full / 1e6, 1),
        "mb_per_1000": round((full - empty) / 1e6 / count * 1000, 2),
    }


async def _idle(api: Api, running: Running) -> dict[str, Any]:
    """Writes and CPU over three resyncs, once the cluster's own controllers have come to rest."""
    if not await measure.settled(api, 5, patience=180):
        return {"idle_writes": None}
    before, cpu, begun = await api.counts(), running.cpu(), time.monotonic()
    await asyncio.sleep(3 * RESYNC)
    elapsed = time.monotonic() - begun
    return {
        "idle_writes": written(before, await api.counts()),
        "idle_resyncs": 3,
        "idle_cpu_percent": round((running.cpu() - cpu) / elapsed * 100, 2),
    }


async def _naive(kubeconfig: Path, count: int) -> dict[str, Any]:
    async with Api(kubeconfig) as api:
        await _prepare(api)
        with subjects.naive(kubeconfig) as running:
            await asyncio.sleep(6)
            if not running.alive():
                raise RuntimeError(running.tail())
            return await _created(api, running, count)
