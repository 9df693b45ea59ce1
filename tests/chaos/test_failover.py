"""One of two operators is killed or frozen under change: the other takes over, once."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

import pytest

from chaos.conftest import Figure
from chaos.failover import Handover, hand_over
from chaos.laboratory import laboratory
from support.kube import Kubectl


@pytest.mark.parametrize(
    "how",
    [
        pytest.param(signal.SIGKILL, id="killed", marks=pytest.mark.whole),
        # Who took over from a frozen one is killed afterwards.
        pytest.param(signal.SIGSTOP, id="frozen"),
    ],
)
def test_the_other_takes_over(
    how: signal.Signals, cluster: Kubectl, identity: Path, tmp_path: Path, figure: Figure
) -> None:
    async def run() -> list[Handover]:
        async with laboratory(cluster, identity, tmp_path) as lab:
            return await hand_over(lab, how)

    handovers = asyncio.run(run())
    for one in handovers:
        figure(
            f"failover after {how.name}: {one.seconds:.1f} s to the first write, "
            f"{len(one.late)} writes of the former leader after it, {len(one.idle)} in vain"
        )
    for one in handovers:
        assert not one.failures, "\n".join(one.failures)
        assert not one.late, one.late
        assert not one.idle, one.idle
