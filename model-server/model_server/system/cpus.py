"""The number of CPUs available to this container.

`os.cpu_count()` counts those of the node. A pod with a limit of one CPU that starts 64 threads is
throttled most of the time, so the cgroup quota counts as well.
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
        instances: Number of parallel inferences.
        threads: CPU threads per inference.
        lone_threads: CPU threads of an inference that runs alone; at least `threads`.
    """

    instances: int = 1
    threads: int = 1
    lone_threads: int = 1


def available_cpus(cgroup: Path = _CGROUP) -> int:
    """Number of CPUs to use, at least 1: the minimum of affinity mask and cgroup quota.

    A quota of 1.5 counts as 2: one thread alone would leave a third of it unused.
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
