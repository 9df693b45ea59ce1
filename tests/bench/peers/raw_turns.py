"""The limit again, for the paired benchmark: a loop that takes turns when it is told to.

Each line on standard input is a number of seconds; the answer is a line of JSON: how many pictures
it did in about that time, how long that took, and its CPU seconds. It ends with its input.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

from bench.vision import models


def main() -> None:
    """Answer one picture to warm up, then take turns."""
    model = models.from_environment()
    act = model.annotate if os.environ["BENCH_TASK"] == "annotate" else model.answer
    pictures = [Path(argument).read_bytes() for argument in sys.argv[1:]]
    for picture in pictures:
        act(picture)
    print(json.dumps({"ready": True}), flush=True)
    for line in sys.stdin:
        seconds = float(line)
        begun, cpu, number = time.monotonic(), time.process_time(), 0
        # Whole turns through the pictures: they do not all take the same time.
        while number == 0 or number % len(pictures) or time.monotonic() - begun < seconds:
            act(pictures[number % len(pictures)])
            number += 1
        took = time.monotonic() - begun
        spent = time.process_time() - cpu
        print(json.dumps({"images": number, "seconds": took, "cpu": spent}), flush=True)


if __name__ == "__main__":
    main()
