"""Every write, event and list of a scenario meets every fault; the end state stays the same."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from chaos.conftest import Figure
from chaos.laboratory import Laboratory, laboratory
from chaos.proxy import Does
from chaos.runs import (
    Baseline,
    Result,
    crash_faults,
    steady_faults,
    undisturbed,
    with_crashes,
    with_faults,
    with_stale_restarts,
)
from chaos.scenarios import SCENARIOS, Scenario
from support.kube import Kubectl

# What `make test` has time for.
PART = {"create"}
EVERY = [pytest.param(name, marks=() if name in PART else pytest.mark.whole) for name in SCENARIOS]
BASELINES: dict[str, Baseline] = {}


async def baseline_of(name: str, lab: Laboratory) -> Baseline:
    if name not in BASELINES:
        BASELINES[name] = await undisturbed(lab, SCENARIOS[name])
    return BASELINES[name]


def judge(result: Result, what: str, begun: float, figure: Figure) -> None:
    took = time.monotonic() - begun
    figure(
        f"{what}: {result.faults} faults, {len(result.missed)} of them without a moment, "
        f"{len(result.failures)} failures, {took:.0f} s"
    )
    assert not result.failures, "\n".join([*result.failures, "missed:", *result.missed])


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", EVERY)
def test_faults_in_a_living_operator(
    name: str, whole: bool, cluster: Kubectl, identity: Path, tmp_path: Path, figure: Figure
) -> None:
    async def run(scenario: Scenario) -> Result:
        async with laboratory(cluster, identity, tmp_path) as lab:
            baseline = await baseline_of(name, lab)
            faults = steady_faults(baseline)
            if not whole:
                faults = [fault for fault in faults if fault.mark.kind == "write"]
            return await with_faults(lab, scenario, baseline, faults)

    begun = time.monotonic()
    judge(asyncio.run(run(SCENARIOS[name])), f"{name}: refused, cut, lost, late", begun, figure)


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", EVERY)
def test_crashes(
    name: str, whole: bool, cluster: Kubectl, identity: Path, tmp_path: Path, figure: Figure
) -> None:
    async def run(scenario: Scenario) -> Result:
        async with laboratory(cluster, identity, tmp_path) as lab:
            baseline = await baseline_of(name, lab)
            faults = crash_faults(baseline)
            if not whole:
                faults = [fault for fault in faults if fault.does is Does.CRASH_AFTER]
            return await with_crashes(lab, scenario, baseline, faults)

    begun = time.monotonic()
    judge(asyncio.run(run(SCENARIOS[name])), f"{name}: crashes", begun, figure)


@pytest.mark.whole
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", SCENARIOS)
def test_restarts_at_a_stale_api_server(
    name: str, cluster: Kubectl, identity: Path, tmp_path: Path, figure: Figure
) -> None:
    async def run(scenario: Scenario) -> Result:
        async with laboratory(cluster, identity, tmp_path) as lab:
            baseline = await baseline_of(name, lab)
            return await with_stale_restarts(lab, scenario, baseline)

    begun = time.monotonic()
    judge(asyncio.run(run(SCENARIOS[name])), f"{name}: stale restarts", begun, figure)
