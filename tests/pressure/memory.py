"""How much memory processes hold: resident sets, from /proc."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

MIB = 1 << 20


def resident(pids: Iterable[int]) -> int:
    """Bytes resident in the processes together."""
    return sum(_field(pid, "VmRSS") for pid in pids)


def highest(pids: Iterable[int]) -> int:
    """The most that each ever had resident, together, in bytes."""
    return sum(_field(pid, "VmHWM") for pid in pids)


def _field(pid: int, name: str) -> int:
    for line in Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines():
        if line.startswith(name + ":"):
            return int(line.split()[1]) * 1024
    raise ValueError(f"process {pid} has no {name}")
