"""Starting, weighing and stopping real processes."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

from bench.processes import Running, cpu_seconds, free_port, memory_bytes, tree

BUSY_WITH_CHILD = """
import subprocess, sys, time
held = bytearray(30_000_000)
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(300)"])
print(child.pid, flush=True)
while True:
    sum(range(10_000))
    time.sleep(0.001)
"""
STUBBORN = """
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("ready", flush=True)
time.sleep(300)
"""


def until(condition: Callable[[], bool], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "the deadline has passed"
        time.sleep(0.01)


def test_a_tree_is_weighed_and_stopped_whole(tmp_path: Path) -> None:
    with Running([sys.executable, "-c", BUSY_WITH_CHILD], tmp_path / "log") as running:
        until(lambda: running.tail_line().isdigit())
        child = int(running.tail_line())
        until(lambda: child in running.pids())
        until(lambda: running.cpu() > 0)
        assert running.memory() > 30_000_000
        assert running.peak_bytes >= 30_000_000
    assert not running.alive()
    assert child not in tree(running.pid, running.pid)


def test_a_process_that_ignores_sigterm_is_killed(tmp_path: Path) -> None:
    running = Running([sys.executable, "-c", STUBBORN], tmp_path / "log", patience=0.2)
    with running:
        until(lambda: running.has_line("ready"))
    assert not running.alive()


def test_a_command_gets_its_cores_variables_and_log(tmp_path: Path) -> None:
    show = "import os; print(sorted(os.sched_getaffinity(0)), os.environ['WHO'])"
    core = min(os.sched_getaffinity(0))
    with Running([sys.executable, "-c", show], tmp_path / "log", {"WHO": "me"}, [core]) as running:
        until(lambda: not running.alive())
    assert running.tail() == f"[{core}] me"


def test_one_knows_oneself() -> None:
    own = os.getpid()
    assert own in tree(own)
    assert cpu_seconds([own])[own] > 0
    assert memory_bytes([own]) > 1_000_000
    assert cpu_seconds([2**22 - 1]) == {}


def test_a_free_port_can_be_had() -> None:
    assert 1024 <= free_port() <= 65535
