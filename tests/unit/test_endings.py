"""What tests start ends with them, however they end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from support.poll import eventually

TESTS = Path(__file__).parents[1]
# Starts a process that would sleep for long, prints its id, and waits.
STARTER = """
import subprocess, sys
from support.endings import ends_with_us
sleeper = [sys.executable, "-c", "import time; time.sleep(600)"]
print(subprocess.Popen(ends_with_us(sleeper)).pid, flush=True)
sys.stdin.read()
"""
# Has a file made afterwards.
AFTER = """
import sys
from support.endings import afterwards
with afterwards([sys.executable, "-c", f"open({sys.argv[1]!r}, 'w')"]):
    print("inside", flush=True)
    sys.stdin.read()
"""


def start(script: str, *arguments: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": str(TESTS)}
    command = [sys.executable, "-c", script, *arguments]
    return subprocess.Popen(
        command, text=True, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )


def has_ended(pid: int) -> bool:
    try:
        # A process that nobody has waited for yet is a zombie, Z; its parent here is init.
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def test_a_process_ends_with_the_one_that_started_it_and_was_killed() -> None:
    with start(STARTER) as starter:
        assert starter.stdout
        sleeper = int(starter.stdout.readline())
        assert not has_ended(sleeper)
        starter.kill()
    eventually(lambda: has_ended(sleeper), "the sleeper is gone", 30)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, None])
def test_what_is_to_be_done_afterwards_is_done(how: signal.Signals | None, tmp_path: Path) -> None:
    made = tmp_path / "made"
    with start(AFTER, str(made)) as process:
        assert process.stdout
        assert process.stdout.readline() == "inside\n"
        assert not made.exists()
        if how is not None:
            process.send_signal(how)
    eventually(made.exists, "what was to be done", 30)
