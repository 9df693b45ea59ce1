"""How many CPUs this container may really use, and how a model shares them out.

`os.cpu_count()` tells the node's. A pod limited to one CPU on a 64-core node that starts 64
threads is throttled most of the time, so the cgroup's quota counts too.
"""

import math
import os
from dataclasses import dataclass
from pathlib import Path

_CGROUP = Path("/sys/fs/cgroup")


@dataclass(frozen=True)
class Parallelism:
    """How a model uses the CPUs.

    Attributes:
        instances: Inferences at the same time.
        threads: CPU threads of one inference.
        lone_threads: Of one that has the model to itself; not above `threads` makes no difference.
    """

    instances: int = 1
    threads: int = 1
    lone_threads: int = 1


def available_cpus(cgroup: Path = _CGROUP) -> int:
    """Whole CPUs to plan for, at least 1: the least of affinity mask and cgroup quota.

    A quota of 1.5 counts as 2: the threads share what there is, and one alone would waste half.
    """
    affinity = len(os.sched_getaffinity(0))
    quota = _quota(cgroup)
    return affinity if quota is None else max(1, min(affinity, math.ceil(quota)))


def _quota(cgroup: Path) -> float | None:
    version_2 = _read(cgroup / "cpu.max").split()
    if len(version_2) == 2:
        return _ratio(version_2[0], version_2[1])
    return _ratio(
        _read(cgroup / "cpu" / "cpu.cfs_quota_us"), _read(cgroup / "cpu" / "cpu.cfs_period_us")
    )


def _ratio(quota: str, period: str) -> float | None:
    try:
        microseconds, of = int(quota), int(period)
    except ValueError:  # "max", or no such file
        return None
    return microseconds / of if microseconds > 0 and of > 0 else None


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii").strip()
    except OSError:
        return ""
