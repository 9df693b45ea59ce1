"""`python -m bench.resize`: our own resizing against Pillow's, in this process, with intervals.

CPU time of this thread, Pillow and every kind of loop that the processor has in turn, in random
order within each round. Pillow's time includes `numpy.asarray`, which the model needs too.
"""

from __future__ import annotations

import argparse
import random
import statistics
import sys
import time
from collections.abc import Callable, Sequence

import numpy as np
from PIL import Image

from bench import machine
from bench.report.markdown import Cell, table
from bench.stats import ratio_interval
from model_server.vision.resampling import Kind, Library, keep_in_one_piece
from model_server.vision.sample_pictures import noise

PICTURES = ((640, 480), (480, 640), (1920, 1080), (1080, 1920), (4000, 3000))
TARGETS = ((300, 300), (224, 224))
BICUBIC = Image.Resampling.BICUBIC


def ways(library: Library) -> dict[str, Callable[[Image.Image, tuple[int, int]], object]]:
    """What is compared, by name; Pillow first."""
    found: dict[str, Callable[[Image.Image, tuple[int, int]], object]] = {
        "Pillow": lambda image, size: np.asarray(image.resize(size, BICUBIC))
    }
    for kind in Kind:
        if Kind.NONE < kind <= library.best:
            found[kind.name] = lambda image, size, kind=kind: library.resize(  # type: ignore[misc]
                image, size, BICUBIC, kind
            )
    return found


def measure(
    image: Image.Image, size: tuple[int, int], library: Library, rounds: int
) -> dict[str, list[float]]:
    """CPU milliseconds of each way, one value for each round."""
    compared = ways(library)
    spent: dict[str, list[float]] = {name: [] for name in compared}
    repeats = max(1, 2_000_000 // (image.width * image.height))
    for _ in range(rounds):
        for name in random.sample(list(compared), len(compared)):
            begun = time.thread_time()
            for _ in range(repeats):
                compared[name](image, size)
            spent[name].append((time.thread_time() - begun) * 1000 / repeats)
    return spent


def main(argv: Sequence[str] | None = None) -> int:
    """Measures and prints a table."""
    parser = argparse.ArgumentParser(prog="python -m bench.resize", description=__doc__)
    parser.add_argument("--rounds", type=int, default=30)
    rounds = parser.parse_args(argv).rounds
    library = Library()
    keep_in_one_piece()
    names = list(ways(library))
    rows: list[list[Cell]] = []
    for width, height in PICTURES:
        image = noise(width, height)
        for size in TARGETS:
            spent = measure(image, size, library, rounds)
            row: list[Cell] = [f"{width}x{height} to {size[0]}x{size[1]}"]
            row += [statistics.median(spent[name]) for name in names]
            for name in names[1:]:
                pairs = zip(spent["Pillow"], spent[name], strict=True)
                ratio = ratio_interval([pillow / ours for pillow, ours in pairs])
                row.append(f"{ratio.ratio:.2f} ({ratio.low:.2f} to {ratio.high:.2f})")
            rows.append(row)
    about = machine.describe()
    print(f"{about['cpu']} ({about['processor']}), commit {about['commit']}, {rounds} rounds\n")
    heads = ["bicubic", *(f"{name}, CPU ms" for name in names)]
    print(table([*heads, *(f"Pillow / {name}" for name in names[1:])], rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
