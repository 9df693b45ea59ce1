"""`local-cluster up` with a node: interrupted, killed, taken down; nothing may be left.

A cluster of the tests' own, beside whatever other clusters run on the machine.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from local_cluster import cgroups
from local_cluster.layout import Layout, layout_of
from local_cluster.processes import is_running
from local_cluster.state import load
from support.poll import eventually

ROOT = Path(__file__).parents[3]

pytestmark = pytest.mark.skipif(
    os.geteuid() != 0, reason="a node of our own needs root; kind or a context serve instead"
)


def start(name: str, layout: Layout) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "local_cluster", name, "--dir", str(layout.root)]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=ROOT
    )


def run(name: str, layout: Layout) -> str:
    with start(name, layout) as process:
        output = process.communicate()[0]
    assert process.returncode == 0, output
    return output


def traces(layout: Layout) -> list[str]:
    """What is on the machine that belongs to the cluster of a folder."""
    found = [str(path) for path in cgroups.folders(layout.cgroup)]
    device = Path("/sys/class/net") / layout.device
    found += [str(device)] if device.exists() else []
    tables = subprocess.run(["nft", "list", "tables"], capture_output=True, text=True, check=True)
    found += [line for line in tables.stdout.splitlines() if line.endswith(layout.device)]
    for name in ("mounts", "cmdline"):
        for path in Path("/proc").glob(f"[0-9]*/{name}"):
            try:
                text = path.read_bytes().replace(b"\0", b" ")
            except OSError:
                continue
            if str(layout.root).encode() in text:
                found.append(str(path))
    return found


@pytest.fixture
def layout(tmp_path: Path) -> Iterator[Layout]:
    layout = layout_of(tmp_path / ".cluster")
    yield layout
    run("down", layout)
    assert traces(layout) == []


def supervisor_runs(layout: Layout) -> bool:
    state = load(layout.state)
    return state is not None and is_running(state.supervisor)


@pytest.mark.parametrize("moment", ["when it is on record", "when the API server is started"])
def test_an_interrupted_up_leaves_nothing(layout: Layout, moment: str) -> None:
    log = layout.logs / "kube-apiserver.log"
    with start("up", layout) as process:
        eventually(
            lambda: supervisor_runs(layout) and (log.exists() or "record" in moment),
            "the cluster is on its way",
        )
        process.send_signal(signal.SIGTERM)
        output = process.communicate()[0]
    assert process.returncode == 130, output
    assert "removing the cluster" in output
    assert traces(layout) == []
    assert not layout.state.exists()


def test_up_survives_its_own_death_and_the_clusters(layout: Layout) -> None:
    with start("up", layout) as process:
        eventually(lambda: supervisor_runs(layout), "the supervisor is on record")
        process.kill()
    # What the killed command started is found again, and either completed or replaced.
    run("up", layout)
    assert "  kubelet                 running\n" in run("status", layout)
    state = load(layout.state)
    assert state is not None
    assert state.supervisor is not None
    os.kill(state.supervisor.pid, signal.SIGKILL)
    eventually(lambda: not is_running(state.supervisor), "the supervisor is dead")
    assert "Cleaning up after a previous cluster" in run("up", layout)
    run("status", layout)
    run("down", layout)
    assert traces(layout) == []
    assert [path.name for path in layout.root.iterdir()] == ["logs"]
