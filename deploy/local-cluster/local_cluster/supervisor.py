"""The parent process of all programs of a cluster.

Started as `python -m local_cluster.supervisor PLAN.json`. With a node it is PID 1 of the
cluster's PID namespace, so everything in the cluster ends with it. It starts each program when
its dependencies respond, writes one log per program, and records in programs.json how programs
ended. It restarts nothing: a failure should be seen.

Imports only the standard library, because the process lives as long as the cluster.
"""

from __future__ import annotations

import ctypes
import http.client
import json
import os
import signal
import socket
import ssl
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from local_cluster.node import prepare

PR_SET_PDEATHSIG = 1
GO = "go\n"
WATCHED = {signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD}
PROBE_SECONDS = 0.05


@dataclass(frozen=True)
class Program:
    """A program to run.

    Attributes:
        name: its name, also of its log.
        command: the executable's path and the arguments.
        after: names of the programs that must respond before it starts.
        probe: where it responds: `HOST:PORT`, the path of a Unix socket, or an https URL that must
            return status 200; empty if it is not probed.
        gate: path of a file that must exist before it starts; empty for none.
    """

    name: str
    command: tuple[str, ...]
    after: tuple[str, ...] = ()
    probe: str = ""
    gate: str = ""

    def as_record(self) -> dict[str, Any]:
        """The program as JSON for the plan."""
        return {
            "name": self.name,
            "command": list(self.command),
            "after": list(self.after),
            "probe": self.probe,
            "gate": self.gate,
        }

    @classmethod
    def from_record(cls, record: dict[str, Any]) -> Program:
        """The program from the plan's JSON."""
        return cls(
            record["name"],
            tuple(record["command"]),
            tuple(record["after"]),
            record["probe"],
            record["gate"],
        )


def responds(probe: str, pki: Path | None = None) -> bool:
    """Whether a probe succeeds; an empty one always does.

    Args:
        probe: see `Program`.
        pki: folder of the administrator's certificates, for https URLs.
    """
    try:
        if not probe:
            return True
        if probe.startswith("https://"):
            return pki is not None and _responds_https(probe, pki)
        return _accepts_connections(probe)
    except (OSError, http.client.HTTPException):
        return False


def _accepts_connections(probe: str) -> bool:
    host, _, port = probe.rpartition(":")
    family = socket.AF_UNIX if probe.startswith("/") else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as connection:
        connection.settimeout(1.0)
        connection.connect(probe if family == socket.AF_UNIX else (host, int(port)))
    return True


def _responds_https(url: str, pki: Path) -> bool:
    address = urlsplit(url)
    tls = ssl.create_default_context(cafile=str(pki / "ca.crt"))
    tls.load_cert_chain(str(pki / "admin.crt"), str(pki / "admin.key"))
    connection = http.client.HTTPSConnection(
        address.hostname or "", address.port, context=tls, timeout=2.0
    )
    try:
        connection.request("GET", address.path)
        return connection.getresponse().status == 200
    finally:
        connection.close()


class Supervisor:
    """Starts the programs of a plan in order and records how they end."""

    def __init__(self, plan: dict[str, Any]) -> None:
        """Take a plan written by `launch.write_plan`."""
        self._waiting = [Program.from_record(record) for record in plan["programs"]]
        self._logs = Path(plan["logs"])
        self._record = Path(plan["record"])
        self._pki = Path(plan["pki"])
        self._pids: dict[int, Program] = {}
        self._responding: set[str] = set()
        self._ended: dict[str, str] = {}

    def run(self) -> None:
        """Run until a signal arrives, then kill every program."""
        self._write()
        while True:
            self._start_what_can()
            caught = signal.sigtimedwait(WATCHED, self._patience())
            if caught is not None and caught.si_signo != signal.SIGCHLD:
                self._say(f"ending on {signal.Signals(caught.si_signo).name}")
                break
            self._reap()
        self._end_all()

    def _patience(self) -> float:
        return PROBE_SECONDS if self._waiting else 60.0

    def _start_what_can(self) -> None:
        for program in self._pids.values():
            if program.name not in self._responding and responds(program.probe, self._pki):
                self._responding.add(program.name)
        ready = [p for p in self._waiting if self._may_start(p)]
        for program in ready:
            self._waiting.remove(program)
            self._pids[self._spawn(program)] = program
        if ready:
            self._write()

    def _may_start(self, program: Program) -> bool:
        if not set(program.after) <= self._responding:
            return False
        return not program.gate or Path(program.gate).exists()

    def _spawn(self, program: Program) -> int:
        self._say(f"starting {program.name}: {' '.join(program.command)}")
        parent = os.getpid()
        pid = os.fork()
        if pid != 0:
            return pid
        try:
            self._become(program, parent)
        except BaseException as error:  # noqa: BLE001 - the child must never return from here
            os.write(2, f"cannot start {program.name}: {error}\n".encode())
        os._exit(127)

    def _become(self, program: Program, parent: int) -> None:
        """In the child: turn into the program."""
        log = os.open(
            self._logs / f"{program.name}.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644
        )
        os.dup2(log, 1)
        os.dup2(log, 2)
        # Without a PID namespace, this ends the programs when the supervisor is killed.
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            return
        signal.pthread_sigmask(signal.SIG_SETMASK, [])
        os.setsid()
        os.execvp(program.command[0], program.command)  # noqa: S606 - no shell is wanted

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            program = self._pids.pop(pid, None)
            if program is not None:
                self._ended[program.name] = _describe(status)
                self._responding.discard(program.name)
                self._say(f"{program.name} ended: {self._ended[program.name]}")
                self._write()

    def _end_all(self) -> None:
        """Kill the programs: their data is about to be deleted."""
        for pid in self._pids:
            os.kill(pid, signal.SIGKILL)
        while self._pids:
            signal.sigtimedwait({signal.SIGCHLD}, 0.1)
            self._reap()

    def _write(self) -> None:
        record = {program.name: "waiting" for program in self._waiting}
        record |= {program.name: "running" for program in self._pids.values()}
        record |= self._ended
        temporary = self._record.with_suffix(".tmp")
        temporary.write_text(json.dumps(record, indent=2) + "\n")
        temporary.replace(self._record)

    def _say(self, text: str) -> None:
        sys.stdout.write(f"{time.strftime('%H:%M:%S')} {text}\n")
        sys.stdout.flush()


def _describe(status: int) -> str:
    if os.WIFSIGNALED(status):
        return f"killed by {signal.Signals(os.WTERMSIG(status)).name}"
    return f"exited with status {os.WEXITSTATUS(status)}"


def main(arguments: list[str]) -> int:
    """Run the plan at the given path, once released through standard input."""
    signal.pthread_sigmask(signal.SIG_BLOCK, WATCHED)
    plan = json.loads(Path(arguments[0]).read_text())
    # The parent records our PID first. If it dies before that, nothing must start.
    if sys.stdin.readline() != GO:
        return 1
    if plan["node"] is not None:
        prepare(plan["node"])
    Supervisor(plan).run()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
