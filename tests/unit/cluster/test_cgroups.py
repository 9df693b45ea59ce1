"""Control groups of both versions, on folders that look like theirs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from local_cluster import cgroups
from local_cluster.errors import UnsuitableMachineError

if TYPE_CHECKING:
    from pathlib import Path

NAME = "iop-0badcafe"


@pytest.fixture
def version_1(tmp_path: Path) -> Path:
    for controller in ("cpu", "memory", "cpuset"):
        (tmp_path / controller).mkdir()
    (tmp_path / "cpuset" / "cpuset.cpus").write_text("0-1\n")
    (tmp_path / "cpuset" / "cpuset.mems").write_text("0\n")
    (tmp_path / "cpu,cpuacct").symlink_to("cpu")
    return tmp_path


@pytest.fixture
def version_2(tmp_path: Path) -> Path:
    (tmp_path / "cgroup.controllers").write_text("cpu memory pids\n")
    (tmp_path / "cgroup.subtree_control").write_text("")
    return tmp_path


def test_version_1_has_a_group_per_controller(version_1: Path) -> None:
    cgroups.create(NAME, version_1)
    cgroups.create(NAME, version_1)
    found = {str(path.relative_to(version_1)) for path in cgroups.folders(NAME, version_1)}
    assert found == {f"cpu/{NAME}", f"memory/{NAME}", f"cpuset/{NAME}"}
    assert (version_1 / "cpuset" / NAME / "cpuset.cpus").read_text() == "0-1\n"


def test_version_2_hands_controllers_down(version_2: Path) -> None:
    # The kernel collects what is written; a plain file shows the last line.
    cgroups.create(NAME, version_2)
    assert (version_2 / "cgroup.subtree_control").read_text() == "+pids"
    assert (version_2 / NAME / "cgroup.subtree_control").read_text() == "+pids"
    assert not cgroups.is_version_1(version_2)


def test_a_needed_controller_that_is_held_back_is_named(version_2: Path) -> None:
    (version_2 / "cgroup.subtree_control").unlink()
    (version_2 / "cgroup.subtree_control").mkdir()
    with pytest.raises(UnsuitableMachineError, match="controller 'cpu' is unavailable"):
        cgroups.create(NAME, version_2)


def test_one_that_is_not_needed_may_be_held_back(version_2: Path) -> None:
    (version_2 / "cgroup.controllers").write_text("rdma\n")
    (version_2 / "cgroup.subtree_control").unlink()
    (version_2 / "cgroup.subtree_control").mkdir()
    cgroups.create(NAME, version_2)


def test_removal_takes_what_is_below_too(version_1: Path) -> None:
    for controller in ("cpu", "memory"):
        (version_1 / controller / NAME / "kubepods" / "burstable" / "pod1").mkdir(parents=True)
    assert cgroups.remove(NAME, version_1)
    assert cgroups.folders(NAME, version_1) == []
    assert cgroups.remove(NAME, version_1)


def test_a_group_that_is_in_use_stays(version_1: Path) -> None:
    # A real group with processes refuses rmdir; on a plain file system a file in it does.
    (version_1 / "cpu" / NAME).mkdir()
    (version_1 / "cpu" / NAME / "in-use").touch()
    assert not cgroups.remove(NAME, version_1)


def test_a_machine_without_control_groups_has_none(tmp_path: Path) -> None:
    assert cgroups.hierarchies(tmp_path / "none") == []
