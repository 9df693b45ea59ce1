"""How much memory processes hold: resident sets, from /proc."""

from __future__ import annotations

import time
from collections.abc import Iterable
from pathlib import Path

MIB = 1 << 20
SETTLE_S = 3.0


def resident(pids: Iterable[int]) -> int:
    """Bytes resident in the processes together."""
    return sum(_field(pid, "VmRSS") for pid in pids)


def settled(pids: Iterable[int]) -> int:
    """Bytes resident when nothing is asked of the processes: the least of a few seconds.

    The server gives memory back a moment after a large picture, not at once.
    """
    pids = list(pids)
    least = resident(pids)
    end = time.monotonic() + SETTLE_S
    while time.monotonic() < end:
        time.sleep(0.25)
        least = min(least, resident(pids))
    return least


def highest(pids: Iterable[int]) -> int:
    """The most that each ever had resident, together, in bytes."""
    return sum(_field(pid, "VmHWM") for pid in pids)


def _field(pid: int, name: str) -> int:
    for line in Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines():
        if line.startswith(name + ":"):
            return int(line.split()[1]) * 1024
    raise ValueError(f"process {pid} has no {name}")
