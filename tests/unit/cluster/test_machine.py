"""What is read of the machine, and what it takes to run a node."""

from __future__ import annotations

import platform
from pathlib import Path

import pytest

from local_cluster import packages
from local_cluster.errors import UnsuitableMachineError
from local_cluster.machine import CAP_SYS_RESOURCE, has_capability
from local_cluster.packages import NODE_REQUIREMENTS, Requirement, check_machine, ensure


@pytest.mark.parametrize(
    ("mask", "has"), [("000001ffffffffff", True), ("000001fffeffffff", False), ("0", False)]
)
def test_capabilities(mask: str, *, has: bool) -> None:
    status = f"Name:\tx\nCapInh:\tffffffffffffffff\nCapEff:\t{mask}\nSeccomp:\t0\n"
    assert has_capability(status, CAP_SYS_RESOURCE) is has


def test_without_root_the_message_says_what_is_needed_and_what_else_would_do(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    monkeypatch.setattr(platform, "system", lambda: "Linux")
    with pytest.raises(UnsuitableMachineError) as raised:
        check_machine()
    assert raised.value.exit_code == 2
    for part in ("needs root", "containerd", "kind", "CONTEXT=", "--control-plane-only"):
        assert part in str(raised.value)


def test_another_system_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "system", lambda: "Darwin")
    with pytest.raises(UnsuitableMachineError, match="needs Linux; this is Darwin"):
        check_machine()


def test_what_is_there_is_not_installed() -> None:
    assert Requirement("coreutils", ("ls", "cat")).is_met()
    ensure((Requirement("coreutils", ("ls", "cat")),))


def test_what_is_missing_and_cannot_be_installed_is_listed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    missing = (Requirement("left", ("no-such-command",)), Requirement("coreutils", ("ls",)))
    with pytest.raises(UnsuitableMachineError, match=r"\(Debian names\): left$"):
        ensure(missing)


def test_plugins_are_looked_for_in_all_their_folders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    for folder in (first, second):
        folder.mkdir()
        (folder / "ptp").touch()
    (second / "portmap").touch()
    monkeypatch.setattr(packages, "CNI_FOLDERS", (first, second))
    assert packages.cni_folder(("ptp",)) == first
    assert packages.cni_folder(("ptp", "portmap")) == second
    assert packages.cni_folder(("ptp", "absent")) is None
    assert not Requirement("plugins", plugins=("absent",)).is_met()


def test_every_requirement_shows_itself_somehow() -> None:
    assert all(requirement.commands or requirement.plugins for requirement in NODE_REQUIREMENTS)
