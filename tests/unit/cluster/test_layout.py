"""Names follow from the folder alone, and are short enough for the kernel."""

from __future__ import annotations

from pathlib import Path

import pytest

from local_cluster.layout import cache_folder, layout_of

DEVICE_NAME_LIMIT = 15


def test_names_are_stable_and_differ_by_folder(tmp_path: Path) -> None:
    first, second = layout_of(tmp_path / "a"), layout_of(tmp_path / "b")
    assert first.device == layout_of(tmp_path / "a").device
    assert first.device != second.device
    assert len(first.device) <= DEVICE_NAME_LIMIT


def test_a_relative_folder_is_the_same_cluster(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert layout_of(Path(".cluster")) == layout_of(tmp_path / ".cluster")


def test_the_cache_folder_follows_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "inference-operator"
    monkeypatch.setenv("XDG_CACHE_HOME", "")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_folder() == tmp_path / ".cache" / "inference-operator"
