"""Which process is ours: identity by pid, start time and boot, never by name.

A pid alone is reused by the kernel; together with the time it started and the boot it belongs to
it names one process for ever. Nothing here stops a process whose identity does not match.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from local_cluster.errors import ClusterError, CommandError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

PROC = Path("/proc")


@dataclass(frozen=True)
class ProcessIdentity:
    """One process, for ever.

    Attributes:
        pid: process id as the machine (the first pid namespace) sees it.
        start_ticks: clock ticks between boot and the start of the process.
        boot_id: random id that the kernel draws at each boot.
    """

    pid: int
    start_ticks: int
    boot_id: str


def boot_id() -> str:
    """The id of the machine's present boot."""
    return (PROC / "sys/kernel/random/boot_id").read_text().strip()


def parse_stat(text: str) -> tuple[str, int, int]:
    """Read state, parent pid and start ticks from the text of `/proc/PID/stat`.

    The second field is the command in parentheses and may itself hold spaces and parentheses, so
    the fields are counted from its last closing one (proc_pid_stat(5)).
    """
    fields = text[text.rindex(")") + 1 :].split()
    return fields[0], int(fields[1]), int(fields[19])


def identify(pid: int, proc: Path = PROC) -> ProcessIdentity | None:
    """The identity of a running process, or None when there is none (a zombie has ended)."""
    try:
        state, _, start_ticks = parse_stat((proc / str(pid) / "stat").read_text())
    except (FileNotFoundError, ProcessLookupError):
        return None
    if state in {"Z", "X"}:
        return None
    return ProcessIdentity(pid, start_ticks, boot_id())


def is_running(identity: ProcessIdentity | None) -> bool:
    """Whether that very process still runs."""
    return identity is not None and identify(identity.pid) == identity


def children(pid: int, proc: Path = PROC) -> list[int]:
    """The pids of the direct children of a process."""
    found = []
    for entry in proc.iterdir():
        if not entry.name.isdigit():
            continue
        try:
            _, parent, _ = parse_stat((entry / "stat").read_text())
        except (FileNotFoundError, ProcessLookupError):
            continue
        if parent == pid:
            found.append(int(entry.name))
    return found


def wait_until(condition: Callable[[], bool], seconds: float, interval: float = 0.05) -> bool:
    """Poll until the condition holds; False when the deadline passes first."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() >= deadline:
            return False
        time.sleep(interval)
    return True


def stop(identity: ProcessIdentity, grace_seconds: float = 5.0) -> None:
    """End that very process: politely, then by force.

    Raises:
        ClusterError: it still runs after both.
    """
    for number, patience in ((signal.SIGTERM, grace_seconds), (signal.SIGKILL, 10.0)):
        if not is_running(identity):
            return
        try:
            os.kill(identity.pid, number)
        except ProcessLookupError:
            return
        if wait_until(lambda: not is_running(identity), patience):
            return
    message = f"process {identity.pid} does not end; look at it with `ps -fp {identity.pid}`"
    raise ClusterError(message)


def run(
    command: list[str],
    *,
    env: Mapping[str, str] | None = None,
    stdin: str | None = None,
    cwd: Path | None = None,
) -> str:
    """Run a command to its end and return its standard output.

    Raises:
        ClusterError: the command is not installed.
        CommandError: the command ended with an error.
    """
    try:
        result = subprocess.run(
            command, env=env, input=stdin, cwd=cwd, capture_output=True, text=True, check=False
        )
    except FileNotFoundError:
        message = f"`{command[0]}` is not installed, and `{' '.join(command)}` needs it"
        raise ClusterError(message) from None
    if result.returncode != 0:
        raise CommandError(command, result.returncode, result.stdout + result.stderr)
    return result.stdout
