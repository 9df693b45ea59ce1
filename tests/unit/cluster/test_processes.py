"""Identity of processes: a reused pid is a stranger, and strangers are never stopped."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from local_cluster.errors import ClusterError, CommandError
from local_cluster.processes import (
    ProcessIdentity,
    children,
    identify,
    is_running,
    parse_stat,
    run,
    stop,
    wait_until,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

SLEEP = [sys.executable, "-c", "import time; time.sleep(600)"]
IGNORE = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN)"
STUBBORN = [sys.executable, "-c", f"{IGNORE}; print('', flush=True); time.sleep(600)"]


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(SLEEP) as process:
        yield process
        process.kill()


@settings(deadline=None)
@given(name=st.text(), parent=st.integers(0, 2**22), ticks=st.integers(0, 2**60))
def test_stat_is_read_whatever_the_command_is_called(name: str, parent: int, ticks: int) -> None:
    fields = ["S", str(parent), *["0"] * 17, str(ticks), *["0"] * 30]
    assert parse_stat(f"12 ({name}) {' '.join(fields)}\n") == ("S", parent, ticks)


def test_a_process_has_one_identity_as_long_as_it_lives(sleeper: subprocess.Popen[bytes]) -> None:
    identity = identify(sleeper.pid)
    assert identity is not None
    assert identity == identify(sleeper.pid)
    assert is_running(identity)


def test_an_ended_process_has_none_even_before_it_is_reaped() -> None:
    process = subprocess.Popen([sys.executable, "-c", ""])
    assert wait_until(lambda: identify(process.pid) is None, 30)
    process.wait()
    assert identify(process.pid) is None
    assert not is_running(None)


def test_a_stranger_with_the_same_pid_is_not_stopped(sleeper: subprocess.Popen[bytes]) -> None:
    identity = identify(sleeper.pid)
    assert identity is not None
    stop(dataclasses.replace(identity, start_ticks=identity.start_ticks - 1))
    stop(dataclasses.replace(identity, boot_id="an-earlier-boot"))
    assert sleeper.poll() is None


def test_stopping_ends_the_process(sleeper: subprocess.Popen[bytes]) -> None:
    identity = identify(sleeper.pid)
    assert identity is not None
    stop(identity)
    assert sleeper.wait(30) == -15
    stop(identity)


def test_stopping_ends_a_process_that_ignores_the_polite_way() -> None:
    with subprocess.Popen(STUBBORN, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        identity = identify(process.pid)
        assert identity is not None
        stop(identity, grace_seconds=0.2)
        assert process.wait(30) == -9


def test_children_are_found(sleeper: subprocess.Popen[bytes]) -> None:
    assert sleeper.pid in children(os.getpid())


def test_nobody_runs_under_the_identity_of_nobody() -> None:
    assert not is_running(ProcessIdentity(2**22 + 1, 0, ""))


def test_a_failed_command_shows_its_output() -> None:
    command = [sys.executable, "-c", "import sys; print('told so'); sys.exit(3)"]
    with pytest.raises(CommandError, match=r"failed with exit status 3:\ntold so"):
        run(command)


def test_a_missing_command_is_named() -> None:
    with pytest.raises(ClusterError, match="no-such-command is not installed"):
        run(["no-such-command", "--flag"])
