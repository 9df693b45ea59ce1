"""The build context of an image: the files that git lists, and the digest in the image's tag.

Same content, same tag: no build and no rollout. The files are copied to a staging folder first, so
that files that git ignores, times and owners affect neither the image nor its tag.
"""

from __future__ import annotations

import fnmatch
import hashlib
import os
import shutil
import tomllib
from pathlib import Path, PurePosixPath

from local_cluster.errors import ClusterError
from local_cluster.processes import run

TAG_DIGITS = 12
IGNORE_FILE = ".dockerignore"


def tracked_files(folder: Path) -> list[PurePosixPath]:
    """Files below a folder that git tracks or would track, sorted.

    Raises:
        ClusterError: the folder is not in a git repository.
    """
    listed = run(
        ["git", "-C", str(folder), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    )
    names = {PurePosixPath(name) for name in listed.split("\0") if name}
    # git also lists files whose deletion is not committed.
    return sorted(name for name in names if (folder / name).is_file())


def is_ignored(name: PurePosixPath, patterns: list[str]) -> bool:
    """Whether `.dockerignore` patterns exclude a file, by its path or by a parent folder.

    Supports comments, `*`, `**/` and plain paths; `read_patterns` rejects exceptions (`!`), so the
    tag always matches what the builder sends.
    """
    paths = [str(name), *(str(parent) for parent in name.parents if str(parent) != ".")]
    for pattern in patterns:
        anywhere = pattern.removeprefix("**/")
        for path in paths:
            if fnmatch.fnmatchcase(path, pattern):
                return True
            if anywhere != pattern and fnmatch.fnmatchcase(PurePosixPath(path).name, anywhere):
                return True
    return False


def read_patterns(folder: Path) -> list[str]:
    """The patterns of a folder's `.dockerignore`; empty without one.

    Raises:
        ClusterError: the file has an exception (`!`), which is unsupported.
    """
    file = folder / IGNORE_FILE
    if not file.exists():
        return []
    lines = [line.strip().strip("/") for line in file.read_text().splitlines()]
    patterns = [line for line in lines if line and not line.startswith("#")]
    if any(pattern.startswith("!") for pattern in patterns):
        message = f"{file}: exceptions (`!`) are not supported; list the files to exclude"
        raise ClusterError(message)
    return patterns


def context_files(folder: Path) -> list[PurePosixPath]:
    """The files of an image's build context, sorted."""
    patterns = read_patterns(folder)
    return [name for name in tracked_files(folder) if not is_ignored(name, patterns)]


def content_digest(folder: Path, names: list[PurePosixPath], *inputs: str) -> str:
    """Twelve hex digits of names, executable bits, content and further inputs."""
    digest = hashlib.sha256("\0".join(inputs).encode())
    for name in names:
        content = (folder / name).read_bytes()
        executable = os.access(folder / name, os.X_OK)
        digest.update(f"\0{name}\0{executable}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()[:TAG_DIGITS]


def stage(folder: Path, names: list[PurePosixPath], target: Path) -> None:
    """Copy the files of a context to an empty folder, with fixed modes and times."""
    for name in names:
        copy = target / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(folder / name, copy)
        copy.chmod(0o755 if os.access(folder / name, os.X_OK) else 0o644)
    for path in [target, *target.rglob("*")]:
        if path.is_dir():
            path.chmod(0o755)
        os.utime(path, (0, 0))


def package_version(folder: Path) -> str:
    """The version in a package's pyproject.toml.

    Raises:
        ClusterError: the file is missing or has no version.
    """
    file = folder / "pyproject.toml"
    try:
        return str(tomllib.loads(file.read_text())["project"]["version"])
    except (FileNotFoundError, tomllib.TOMLDecodeError, KeyError) as error:
        message = f"{file}: cannot read project.version ({error!r})"
        raise ClusterError(message) from error
