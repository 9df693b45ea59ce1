"""Starts contestants, weighs them and stops exactly what it started.

Processes are known by the session that they were started in and by descent, never by name. CPU
time and memory are read from ``/proc``; nothing is injected into a contestant.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

TICKS = os.sysconf("SC_CLK_TCK")


def free_port() -> int:
    """A TCP port that was free on loopback a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _stat(pid: int) -> list[str] | None:
    """The fields of /proc/PID/stat from the state on, or None when the process has gone."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    except OSError:
        return None
    return text[text.rindex(")") + 2 :].split()


def tree(root: int, session: int | None = None) -> list[int]:
    """The process ``root``, all that descend from it and all of its session, oldest first."""
    parents: dict[int, int] = {}
    members: set[int] = set()
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        fields = _stat(int(entry.name))
        if fields is None or fields[0] == "Z":
            continue
        parents[int(entry.name)] = int(fields[1])
        if session is not None and int(fields[3]) == session:
            members.add(int(entry.name))
    members |= {root} & parents.keys()
    grown = True
    while grown:
        more = {pid for pid, parent in parents.items() if parent in members} - members
        members |= more
        grown = bool(more)
    return sorted(members)


def cpu_seconds(pids: Sequence[int]) -> dict[int, float]:
    """User and system time of each living process, without the children it has reaped."""
    spent: dict[int, float] = {}
    for pid in pids:
        fields = _stat(pid)
        if fields is not None:
            spent[pid] = (int(fields[11]) + int(fields[12])) / TICKS
    return spent


def memory_bytes(pids: Sequence[int]) -> int:
    """Proportional set size of the processes together: shared pages count once."""
    total = 0
    for pid in pids:
        try:
            text = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="utf-8")
        except OSError:
            continue
        for line in text.splitlines():
            if line.startswith("Pss:"):
                total += int(line.split()[1]) * 1024
    return total


@dataclass
class Running:
    """One contestant's processes, from start to stop. Use it as a context manager.

    Args:
        command: Program and arguments.
        log: Takes standard output and error.
        environment: Variables on top of this process's own.
        cores: The cores it may use; all when empty.
        directory: Its working directory.
        patience: Seconds it may take to stop before it is killed.
    """

    command: Sequence[str]
    log: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    cores: Sequence[int] = ()
    directory: Path | None = None
    patience: float = 15.0
    peak_bytes: int = 0

    def __enter__(self) -> Self:
        self.log.parent.mkdir(parents=True, exist_ok=True)
        command = list(self.command)
        if self.cores:
            command = ["taskset", "-c", ",".join(map(str, self.cores)), *command]
        with self.log.open("wb") as output:
            self._process = subprocess.Popen(
                command,
                stdout=output,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                env={**os.environ, **self.environment},
                cwd=self.directory,
                start_new_session=True,
            )
        self.started = time.monotonic()
        self._known: dict[int, float] = {}
        self._stop = threading.Event()
        self._watcher = threading.Thread(target=self._watch, daemon=True)
        self._watcher.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop.set()
        self._watcher.join()
        stop(self._process, deadline=self.patience)

    @property
    def pid(self) -> int:
        """The process that was started (``taskset`` becomes the program it starts)."""
        return self._process.pid

    def pids(self) -> list[int]:
        """Every process of this contestant that lives now."""
        return tree(self.pid, session=self.pid)

    def alive(self) -> bool:
        """Whether the first process still runs."""
        return self._process.poll() is None

    def cpu(self) -> float:
        """CPU seconds used since the start; a child that has ended keeps its last reading."""
        self._known.update(cpu_seconds(self.pids()))
        return sum(self._known.values())

    def memory(self) -> int:
        """Proportional set size now, in bytes."""
        size = memory_bytes(self.pids())
        self.peak_bytes = max(self.peak_bytes, size)
        return size

    def tail(self, lines: int = 5) -> str:
        """The last lines of its log, each cut at 200 characters."""
        text = self.log.read_text(encoding="utf-8", errors="replace").strip()
        return "\n".join(line[:200] for line in text.splitlines()[-lines:])

    def has_line(self, line: str) -> bool:
        """Whether its log holds exactly this line."""
        return line in self.log.read_text(encoding="utf-8", errors="replace").splitlines()

    def tail_line(self) -> str:
        """The last line of its log in full, or nothing."""
        text = self.log.read_text(encoding="utf-8", errors="replace").strip()
        return text.rpartition("\n")[2]

    def _watch(self) -> None:
        # Half a second: reading smaps_rollup walks page tables under the process's own lock, and
        # must not become part of what is measured.
        while not self._stop.wait(0.5):
            self.memory()


def stop(process: subprocess.Popen[bytes], deadline: float) -> None:
    """Ask a process and what it started to end; insist after ``deadline`` seconds."""
    members = _identities(tree(process.pid, session=process.pid))
    if process.poll() is None:
        process.terminate()
    _await_end(process, members, deadline)
    for insist in (signal.SIGTERM, signal.SIGKILL):
        members |= _identities(tree(process.pid, session=process.pid))
        for pid, begun in members.items():
            if _lives(pid, begun):
                _signal(pid, insist)
        _await_end(process, members, 5)
    process.wait()


def _identities(pids: Sequence[int]) -> dict[int, str]:
    """When each process began (clock ticks since boot), so that a reused number is no victim."""
    return {pid: fields[19] for pid in pids if (fields := _stat(pid)) is not None}


def _signal(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return


def _await_end(
    process: subprocess.Popen[bytes], members: Mapping[int, str], seconds: float
) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        process.poll()
        if not any(_lives(pid, begun) for pid, begun in members.items()):
            return
        time.sleep(0.05)


def _lives(pid: int, begun: str) -> bool:
    fields = _stat(pid)
    return fields is not None and fields[0] != "Z" and fields[19] == begun
