"""`local-cluster kubectl`, also where the kubectl on PATH is a wrapper that calls it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from local_cluster.build import binary_path

Command = Callable[..., "subprocess.CompletedProcess[str]"]


def program(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


@pytest.fixture
def own_binary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the binary of the local cluster would be; it is not there yet."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return binary_path()


@pytest.fixture
def command(tmp_path: Path, own_binary: Path) -> Command:
    """Runs `local-cluster kubectl -- ARGUMENTS`; PATH is the folder `bin` alone."""
    assert not own_binary.exists()
    (tmp_path / "bin").mkdir()

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        environment = dict(os.environ)
        environment["PATH"] = str(tmp_path / "bin")
        return subprocess.run(
            [sys.executable, "-m", "local_cluster", "kubectl", "--", *arguments],
            env=environment,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
            timeout=20,
        )

    return run


@pytest.fixture
def wrapper(tmp_path: Path, command: Command) -> None:
    """A kubectl on PATH that only calls `local-cluster kubectl`."""
    call = f'exec "{sys.executable}" -m local_cluster kubectl -- "$@"'
    program(tmp_path / "bin" / "kubectl", call)


def test_our_own_is_run_whatever_is_on_path(
    command: Command, wrapper: None, own_binary: Path
) -> None:
    program(own_binary, 'echo "own: $@"')
    done = command("get", "pods", "-n", "a b")
    assert (done.returncode, done.stdout) == (0, "own: kubectl get pods -n a b\n"), done.stderr


def test_a_wrapper_without_a_binary_is_an_error_and_no_loop(
    command: Command, wrapper: None
) -> None:
    done = command("get", "pods")
    assert done.returncode == 1
    assert "calls `local-cluster kubectl`" in done.stderr
    assert "local-cluster build" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_one_on_path_is_run_where_our_own_is_not_built(
    tmp_path: Path, command: Command
) -> None:
    program(tmp_path / "bin" / "kubectl", 'echo "path: $@"')
    assert command("get", "pods").stdout == "path: get pods\n"


def test_without_any_kubectl_it_says_how_to_get_one(command: Command) -> None:
    done = command("get", "pods")
    assert done.returncode == 1
    assert "kubectl is not installed" in done.stderr
    assert "local-cluster build" in done.stderr
