"""Identifies processes by PID, start time and boot, never by name.

The kernel reuses PIDs; together with the start time and the boot ID they are unique. A process is
stopped only if its identity matches.
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
    """A process, unambiguously.

    Attributes:
        pid: process ID in the host's PID namespace.
        start_ticks: clock ticks between boot and the start of the process.
        boot_id: random ID of the boot.
    """

    pid: int
    start_ticks: int
    boot_id: str


def boot_id() -> str:
    """ID of the current boot."""
    return (PROC / "sys/kernel/random/boot_id").read_text().strip()


def parse_stat(text: str) -> tuple[str, int, int]:
    """State, parent PID and start ticks from `/proc/PID/stat`.

    The second field, the command, may contain spaces and parentheses, so fields are counted from
    the last closing parenthesis (proc_pid_stat(5)).
    """
    fields = text[text.rindex(")") + 1 :].split()
    return fields[0], int(fields[1]), int(fields[19])


def identify(pid: int, proc: Path = PROC) -> ProcessIdentity | None:
    """The identity of a running process; None if there is none or it is a zombie."""
    try:
        state, _, start_ticks = parse_stat((proc / str(pid) / "stat").read_text())
    except (FileNotFoundError, ProcessLookupError):
        return None
    if state in {"Z", "X"}:
        return None
    return ProcessIdentity(pid, start_ticks, boot_id())


def is_running(identity: ProcessIdentity | None) -> bool:
    """Whether this process is still running."""
    return identity is not None and identify(identity.pid) == identity


def children(pid: int, proc: Path = PROC) -> list[int]:
    """PIDs of the direct children of a process."""
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
    """Poll until the condition holds; False if the deadline passes first."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() >= deadline:
            return False
        time.sleep(interval)
    return True


def stop(identity: ProcessIdentity, grace_seconds: float = 5.0) -> None:
    """Stop a process with SIGTERM, then SIGKILL.

    Raises:
        ClusterError: it is still running after both.
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
    message = f"process {identity.pid} does not stop; inspect it with `ps -fp {identity.pid}`"
    raise ClusterError(message)


def run(
    command: list[str],
    *,
    env: Mapping[str, str] | None = None,
    stdin: str | None = None,
    cwd: Path | None = None,
) -> str:
    """Run a command and return its standard output.

    Raises:
        ClusterError: the command is not installed.
        CommandError: the command failed.
    """
    try:
        result = subprocess.run(
            command, env=env, input=stdin, cwd=cwd, capture_output=True, text=True, check=False
        )
    except FileNotFoundError:
        message = f"cannot run `{' '.join(command)}`: {command[0]} is not installed"
        raise ClusterError(message) from None
    if result.returncode != 0:
        raise CommandError(command, result.returncode, result.stdout + result.stderr)
    return result.stdout
