"""After any sequence of specs a service is what the last of them makes of a fresh one."""

from __future__ import annotations

import asyncio
import os
import secrets
import time
from pathlib import Path

import pytest

from chaos.conftest import Figure
from chaos.laboratory import laboratory
from chaos.walks import Walked, walk
from support.kube import Kubectl

# Specs and rounds; a walker for each spec goes that many rounds.
PART, WHOLE = (12, 5), (60, 18)


@pytest.mark.timeout(3000)
def test_the_way_does_not_matter(
    whole: bool, cluster: Kubectl, identity: Path, tmp_path: Path, figure: Figure
) -> None:
    specs, rounds = WHOLE if whole else PART
    # `make test` draws the same every time; CHAOS_SEED repeats what `make chaos` has drawn.
    number = int(os.environ.get("CHAOS_SEED", secrets.randbelow(1 << 32) if whole else 1))

    async def run() -> Walked:
        async with laboratory(cluster, identity, tmp_path) as lab:
            return await walk(lab, number, specs, rounds)

    begun = time.monotonic()
    walked = asyncio.run(run())
    figure(f"transitions: {walked}, {time.monotonic() - begun:.0f} s")
    assert walked.refusals, "no spec was drawn that the API server refuses"
    assert not walked.failures, "\n".join(walked.failures)
