"""Runs the limit: the bare engine in a loop, in one process for each core."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench import installs, paths
from bench.processes import Running
from bench.serving.contestants import Start
from bench.serving.figures import latencies
from bench.serving.wire import labels_of


@dataclass(frozen=True)
class RawResult:
    """What the loops together did.

    Attributes:
        figures: Images per second, latencies, CPU seconds per image and memory.
        labels: The labels of the first picture.
        start_seconds: From starting the process to its first answer.
    """

    figures: dict[str, Any]
    labels: list[str]
    start_seconds: float


@dataclass(frozen=True)
class Pace:
    """How the loop runs.

    Attributes:
        prepared_by: What decodes and resizes: ``pillow`` or ``opencv``.
        warm: Seconds that do not count.
        seconds: Seconds that do.
    """

    prepared_by: str
    warm: float
    seconds: float


def run(start: Start, cores: Sequence[int], pictures: Sequence[Path], pace: Pace) -> RawResult:
    """Loop over the pictures on each of the cores at once.

    Raises:
        RuntimeError: A loop failed; the message is the end of its log.
    """
    python = installs.python("engine")
    variables = {
        **start.variables(),
        "BENCH_PICTURES": pace.prepared_by,
        "BENCH_WARM": str(pace.warm),
        "BENCH_SECONDS": str(pace.seconds),
    }
    command = [str(python), "-m", "bench.peers.raw_loop", *map(str, pictures)]
    with contextlib.ExitStack() as stack:
        loops = [
            stack.enter_context(
                Running(command, paths.cache("logs", f"raw-{core}.log"), variables, [core])
            )
            for core in cores
        ]
        start_seconds = _await_first_answer(loops[0])
        deadline = time.monotonic() + pace.warm + pace.seconds + 120
        while any(loop.alive() for loop in loops) and time.monotonic() < deadline:
            time.sleep(0.02)
        results = [_read(loop) for loop in loops]
        peak = sum(loop.peak_bytes for loop in loops)
    took = [value * 1000 for result in results for value in result["took"]]
    images = len(took)
    figures = {
        # Each loop by its own clock: the last picture of a window may end after it.
        "images_per_second": round(sum(len(r["took"]) / sum(r["took"]) for r in results), 2),
        "images": images,
        "wrong": 0,
        **latencies(took),
        "cpu_seconds_per_image": round(sum(r["cpu"] for r in results) / images, 6),
        "memory_mb": round(peak / 1e6, 1),
    }
    return RawResult(figures, labels_of(results[0]["answer"]), start_seconds)


def _await_first_answer(loop: Running) -> float:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        if loop.tail_line().startswith('{"ready"'):
            return time.monotonic() - loop.started
        if not loop.alive():
            break
        time.sleep(0.002)
    raise RuntimeError(f"the raw loop did not start: {loop.tail()}")


def _read(loop: Running) -> dict[str, Any]:
    lines = loop.log.read_text(encoding="utf-8", errors="replace").splitlines()
    found = [json.loads(line) for line in lines if line.startswith("{")]
    if len(found) != 2:
        raise RuntimeError(f"a raw loop failed: {loop.tail()}")
    return {**found[0], **found[1]}
