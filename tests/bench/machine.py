"""What this machine is and how busy it was: a ratio means little without it."""

from __future__ import annotations

import os
import platform
import subprocess
import time
from pathlib import Path
from typing import Any

from bench import paths


def describe() -> dict[str, Any]:
    """CPU, memory, kernel, versions, commit and the load when the run began."""
    return {
        "cpu": _cpu_model(),
        "processor": processor_class(Path("/proc/cpuinfo").read_text(encoding="utf-8")),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "commit": _commit(),
        "load_at_start": round(os.getloadavg()[0], 2),
        "started": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }


def processor_class(cpuinfo: str) -> str:
    """Which instructions int8 inference has: figures of different classes do not compare.

    Args:
        cpuinfo: What /proc/cpuinfo says.
    """
    flags: set[str] = set()
    for line in cpuinfo.splitlines():
        name, _, value = line.partition(":")
        if name.strip() in {"flags", "Features"}:
            flags = set(value.split())
            break
    known = ("avx512_vnni", "avx_vnni", "avx2", "asimddp", "asimd")
    return next((name for name in known if name in flags), "other")


def _cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "model name":
            return value.strip()
    return platform.machine()


def _commit() -> str:
    answer = subprocess.run(
        ["git", "describe", "--always", "--dirty"],
        cwd=paths.ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    return answer.stdout.strip() or "unknown"


class BusyMeter:
    """CPU time that processes outside a measured set used, as a share of all cores.

    A benchmark on a busy machine measures the neighbours; each row therefore says how busy the
    rest of the machine was while it was taken.
    """

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._busy = _busy_seconds()

    def others(self, own_seconds: float) -> float:
        """The share (0 to 1) of all cores' time that others used since this meter began."""
        elapsed = time.monotonic() - self._began
        spent = _busy_seconds() - self._busy - own_seconds
        return max(0.0, spent / (elapsed * (os.cpu_count() or 1))) if elapsed else 0.0


def _busy_seconds() -> float:
    fields = Path("/proc/stat").read_text(encoding="utf-8").splitlines()[0].split()[1:]
    user, nice, system, _idle, _iowait, irq, softirq, steal = (int(field) for field in fields[:8])
    ticks = user + nice + system + irq + softirq + steal
    return float(ticks / os.sysconf("SC_CLK_TCK"))
