"""The key of the one-time build, and what it reads from go.mod and from Go itself."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from local_cluster.build import (
    SOURCES,
    build_key,
    kubernetes_version,
    linker_flags,
    source_folder,
)
from local_cluster.errors import ClusterError
from local_cluster.toolchain import parse_version, required_version

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    folder = tmp_path / "kubernetes"
    shutil.copytree(source_folder(), folder)
    return folder


def test_a_copy_has_the_same_key(sources: Path) -> None:
    assert build_key(sources) == build_key(source_folder())


@pytest.mark.parametrize("name", SOURCES)
def test_every_source_counts(sources: Path, name: str) -> None:
    with (sources / name).open("a") as file:
        file.write("\n")
    assert build_key(sources) != build_key(source_folder())


def test_every_go_file_is_a_source() -> None:
    found = {str(p.relative_to(source_folder())) for p in source_folder().rglob("*.go")}
    assert found | {"go.mod", "go.sum"} == set(SOURCES)


def test_the_pinned_version_is_read_from_the_real_go_mod() -> None:
    go_mod = (source_folder() / "go.mod").read_text()
    version = kubernetes_version(go_mod)
    assert version.startswith("v1.")
    # The replaced modules are published under v0 with the same minor and patch.
    assert f"k8s.io/api => k8s.io/api v0.{version.removeprefix('v1.')}" in go_mod


def test_a_go_mod_without_kubernetes_is_named() -> None:
    with pytest.raises(ClusterError, match=r"go\.mod does not require k8s\.io/kubernetes"):
        kubernetes_version("module x\n\nrequire k8s.io/kubernetes-extra v1.0.0\n")


def test_the_binary_reports_the_version_that_it_was_built_from() -> None:
    flags = linker_flags("v1.36.3").split()
    assert "k8s.io/component-base/version.gitVersion=v1.36.3" in flags
    assert "k8s.io/component-base/version.gitMajor=1" in flags
    assert "k8s.io/component-base/version.gitMinor=36" in flags


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("go version go1.26.8 linux/amd64", (1, 26, 8)),
        ("go version go1.27 linux/arm64", (1, 27)),
        ("go 1.26.4", (1, 26, 4)),
    ],
)
def test_go_versions(text: str, version: tuple[int, ...]) -> None:
    assert parse_version(text) == version


@settings(deadline=None)
@given(st.text())
def test_text_without_version_is_refused(text: str) -> None:
    try:
        version = parse_version(text)
    except ValueError:
        return
    assert version


def test_the_required_version_is_that_of_go_mod() -> None:
    assert required_version("module x\n\ngo 1.26.4\n\nrequire y v1.2.3\n") == (1, 26, 4)
    assert required_version((source_folder() / "go.mod").read_text()) >= (1, 26)
