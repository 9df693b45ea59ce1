"""What goes into an image and its tag: the content that git sees, and nothing else."""

from __future__ import annotations

import subprocess
from pathlib import Path, PurePosixPath

import pytest

from local_cluster.context import (
    content_digest,
    context_files,
    is_ignored,
    package_version,
    read_patterns,
    stage,
    tracked_files,
)
from local_cluster.errors import ClusterError


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A package in a repository: a committed file, a new one, an ignored one."""
    folder = tmp_path / "package"
    (folder / "source").mkdir(parents=True)
    (folder / "Dockerfile").write_text("FROM scratch\n")
    (folder / "source" / "app.py").write_text("print()\n")
    (folder / "source" / "app.pyc").write_bytes(b"\0")
    (tmp_path / ".gitignore").write_text("*.pyc\n")
    subprocess.run(["git", "init", "--quiet", str(tmp_path)], check=True)
    subprocess.run(["git", "-C", str(tmp_path), "add", "package/Dockerfile"], check=True)
    return folder


def digest_of(folder: Path, *inputs: str) -> str:
    return content_digest(folder, context_files(folder), *inputs)


def test_tracked_and_new_files_count_and_ignored_ones_do_not(package: Path) -> None:
    assert tracked_files(package) == [PurePosixPath("Dockerfile"), PurePosixPath("source/app.py")]


def test_a_deleted_file_is_not_listed(package: Path) -> None:
    (package / "Dockerfile").unlink()
    assert tracked_files(package) == [PurePosixPath("source/app.py")]


def test_the_digest_follows_content_names_modes_and_inputs(package: Path) -> None:
    seen = {digest_of(package), digest_of(package, "another base")}
    (package / "source" / "app.py").write_text("print(1)\n")
    seen.add(digest_of(package))
    (package / "source" / "app.py").chmod(0o755)
    seen.add(digest_of(package))
    (package / "source" / "app.py").rename(package / "source" / "main.py")
    seen.add(digest_of(package))
    assert len(seen) == 5


def test_the_digest_does_not_follow_caches_and_times(package: Path) -> None:
    before = digest_of(package)
    (package / "source" / "app.pyc").write_bytes(b"\1")
    (package / "source" / "app.py").touch()
    assert digest_of(package) == before


def test_the_digest_does_not_depend_on_where_the_clone_is(package: Path) -> None:
    before = digest_of(package)
    moved = package.parent.rename(package.parent.with_name("moved")) / package.name
    assert digest_of(moved) == before


def test_dockerignore_leaves_files_out(package: Path) -> None:
    (package / ".dockerignore").write_text("# comment\n\n**/*.md\n/training/\n")
    (package / "source" / "notes.md").write_text("x")
    (package / "training").mkdir()
    (package / "training" / "train.py").write_text("x")
    assert [str(name) for name in context_files(package)] == [
        ".dockerignore",
        "Dockerfile",
        "source/app.py",
    ]


@pytest.mark.parametrize(
    ("name", "pattern", "ignored"),
    [
        ("README.md", "README.md", True),
        ("docs/README.md", "README.md", False),
        ("docs/README.md", "**/README.md", True),
        ("training/deep/file.py", "training", True),
        ("source/training/file.py", "training", False),
        ("source/__pycache__/file.pyc", "**/__pycache__", True),
        ("package.egg-info/PKG", "*.egg-info", True),
    ],
)
def test_ignore_patterns(name: str, pattern: str, *, ignored: bool) -> None:
    assert is_ignored(PurePosixPath(name), [pattern]) is ignored


def test_exceptions_in_dockerignore_are_refused_by_name(package: Path) -> None:
    (package / ".dockerignore").write_text("*\n!source\n")
    with pytest.raises(ClusterError, match=r"\.dockerignore: exceptions"):
        read_patterns(package)


def test_staging_copies_content_with_plain_modes_and_one_time(
    package: Path, tmp_path: Path
) -> None:
    target = tmp_path / "target"
    target.mkdir()
    (package / "source" / "app.py").chmod(0o700)
    stage(package, context_files(package), target)
    copied = target / "source" / "app.py"
    assert copied.read_text() == "print()\n"
    assert copied.stat().st_mode & 0o777 == 0o755
    assert (target / "Dockerfile").stat().st_mode & 0o777 == 0o644
    assert {path.stat().st_mtime for path in target.rglob("*")} == {0.0}
    assert not (target / "source" / "app.pyc").exists()


def test_version_of_a_package(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text('[project]\nversion = "1.2.3"\n')
    assert package_version(tmp_path) == "1.2.3"


@pytest.mark.parametrize("text", ["", "[project]\n", "not toml"])
def test_a_package_without_version_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "pyproject.toml").write_text(text)
    with pytest.raises(ClusterError, match=r"pyproject\.toml"):
        package_version(tmp_path)
