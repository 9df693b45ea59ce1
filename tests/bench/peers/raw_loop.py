"""The limit: the model called in a loop, with no server at all, in one process for each core.

Each process answers the same pictures in turn until told to stop, and prints one line of JSON:
how long each picture took. The first line, ``ready``, comes after one answer, so that the start
can be timed as a server's.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

from bench.vision import models


def main() -> None:
    """Answer until BENCH_SECONDS have passed, after BENCH_WARM seconds that do not count."""
    started = time.monotonic()
    model = models.from_environment()
    act = model.annotate if os.environ["BENCH_TASK"] == "annotate" else model.answer
    pictures = [Path(argument).read_bytes() for argument in sys.argv[1:]]
    first = model.answer(pictures[0])
    print(json.dumps({"ready": time.monotonic() - started, "answer": first}), flush=True)
    warm = time.monotonic() + float(os.environ["BENCH_WARM"])
    until = warm + float(os.environ["BENCH_SECONDS"])
    took: list[float] = []
    number = 0
    cpu_at_warm: float | None = None
    while (begun := time.monotonic()) < until:
        if begun >= warm and cpu_at_warm is None:
            cpu_at_warm = time.process_time()
        act(pictures[number % len(pictures)])
        number += 1
        if begun >= warm:
            took.append(time.monotonic() - begun)
    cpu = time.process_time() - (cpu_at_warm or 0)
    print(json.dumps({"took": took, "cpu": cpu}), flush=True)


if __name__ == "__main__":
    main()
