"""Image builds in the background: started once, reported, and stopped with the cluster."""

from __future__ import annotations

import fcntl
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from local_cluster import background
from local_cluster.__main__ import main
from local_cluster.layout import Layout, cache_folder, layout_of
from local_cluster.processes import is_running, wait_until


@pytest.fixture
def layout(tmp_path: Path) -> Iterator[Layout]:
    found = layout_of(tmp_path / ".cluster")
    yield found
    background.stop(found)


@pytest.fixture
def other_build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Somebody else's build, for which ours has to wait."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folder = cache_folder() / "containers"
    folder.mkdir(parents=True)
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def call(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["local-cluster", *arguments])
    return main()


def group_members(leader: int) -> list[str]:
    """The processes of a process group that have not ended."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            stat = (entry / "stat").read_text()
        except (FileNotFoundError, ProcessLookupError):
            continue
        state, _, group = stat[stat.rindex(")") + 1 :].split()[:3]
        if group == str(leader) and state not in {"Z", "X"}:
            found.append(entry.name)
    return found


def eventually(condition: Callable[[], bool]) -> None:
    assert wait_until(condition, 30.0)


def test_without_a_build_there_is_nothing_to_say(layout: Layout) -> None:
    assert background.describe(layout) == ""
    background.stop(layout)


@pytest.mark.usefixtures("other_build")
def test_a_build_is_started_once_reported_and_stopped(
    layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = ("images", "--variant", "tensorflow", "--background", "--dir", str(layout.root))
    assert call(monkeypatch, *command) == 0
    build = background.load(layout)
    assert build is not None
    assert call(monkeypatch, *command) == 0
    assert background.load(layout) == build
    text = background.describe(layout, now=lambda: build.started + 65)
    assert text == f"in progress for 1 min 05 s (log: {layout.image_build_log})"
    eventually(lambda: "Waiting for another build" in layout.image_build_log.read_text())
    assert len(group_members(build.process.pid)) == 2
    assert call(monkeypatch, "down", "--dir", str(layout.root)) == 0
    os.waitpid(build.process.pid, 0)
    assert not is_running(build.process)
    eventually(lambda: not group_members(build.process.pid))
    assert background.describe(layout) == ""


def test_a_failed_build_is_reported_with_its_log(layout: Layout) -> None:
    background.start(layout, ["--variant", "unknown"])
    build = background.load(layout)
    assert build is not None
    os.waitpid(build.process.pid, 0)
    text = background.describe(layout)
    assert text.startswith("failed with exit status 2; run `make images` to repeat it")
    assert "invalid choice: 'unknown'" in layout.image_build_log.read_text()


@pytest.mark.usefixtures("other_build")
def test_a_killed_build_is_reported_as_interrupted(layout: Layout) -> None:
    background.start(layout, [])
    build = background.load(layout)
    assert build is not None
    os.killpg(build.process.pid, 9)
    os.waitpid(build.process.pid, 0)
    assert background.describe(layout).startswith("interrupted; run `make images` to repeat it")


def test_a_finished_build_is_done(layout: Layout) -> None:
    background.start(layout, ["--help"])
    build = background.load(layout)
    assert build is not None
    os.waitpid(build.process.pid, 0)
    assert background.describe(layout) == "done"


def test_a_damaged_record_is_no_build(layout: Layout) -> None:
    layout.root.mkdir()
    for text in ("", "[]", "{}", '{"process": {}, "started": 1}'):
        layout.image_build.write_text(text)
        assert background.load(layout) is None
