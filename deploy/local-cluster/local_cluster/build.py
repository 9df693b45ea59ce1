"""Builds Kubernetes once from its Go modules.

The result is one binary in the cache, keyed by a digest of its sources: clones of the same revision
share it, and a changed go.mod builds a new one. Concurrent builds wait for each other.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
from contextlib import contextmanager
from typing import TYPE_CHECKING

from local_cluster.console import Progress, elapsed, say
from local_cluster.errors import ClusterError
from local_cluster.follow import follow
from local_cluster.layout import cache_folder, package_folder
from local_cluster.processes import run
from local_cluster.toolchain import find_go, required_version

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

SOURCES = ("go.mod", "go.sum", "main.go", "pause/main.go")
KUBERNETES_MODULE = "k8s.io/kubernetes"
VERSION_VARIABLES = ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version")
BUILD_FLAGS = ("-trimpath", "-buildvcs=false")


def source_folder() -> Path:
    """The Go module of the cluster's programs."""
    return package_folder() / "kubernetes"


def build_key(folder: Path) -> str:
    """Twelve hex digits that change with the sources of the build.

    The Go version is not included: go.mod states the minimum, and upgrading Go should not cost
    another ten-minute build.
    """
    digest = hashlib.sha256()
    for name in SOURCES:
        content = (folder / name).read_bytes()
        digest.update(f"{name} {len(content)}\n".encode() + content)
    return digest.hexdigest()[:12]


def revision() -> str:
    """Twelve hex digits of everything that a cluster is built and started from."""
    digest = hashlib.sha256(build_key(source_folder()).encode())
    for file in sorted((package_folder() / "local_cluster").glob("*.py")):
        digest.update(file.name.encode() + file.read_bytes())
    return digest.hexdigest()[:12]


def kubernetes_version(go_mod: str) -> str:
    """The version of Kubernetes that the text of a go.mod pins, such as `v1.36.3`.

    Raises:
        ClusterError: go.mod does not require Kubernetes.
    """
    match = re.search(rf"^\s*{re.escape(KUBERNETES_MODULE)} (v\S+)$", go_mod, re.MULTILINE)
    if match is None:
        message = f"{source_folder()}/go.mod does not require {KUBERNETES_MODULE}"
        raise ClusterError(message)
    return match[1]


def linker_flags(version: str) -> str:
    """Linker flags that strip the binary and set the version that it reports."""
    major, minor = version.removeprefix("v").split(".")[:2]
    values = {"gitVersion": version, "gitMajor": major, "gitMinor": minor}
    settings = [
        f"-X {v}.{name}={value}" for v in VERSION_VARIABLES for name, value in values.items()
    ]
    return " ".join(["-s", "-w", *settings])


def binary_path() -> Path:
    """Path of the binary for the current sources, whether or not it exists."""
    return cache_folder() / "kubernetes" / build_key(source_folder()) / "kubernetes"


def pause_path() -> Path:
    """Path of the pause image's program, beside the binary."""
    return binary_path().with_name("pause")


@contextmanager
def build_lock(folder: Path) -> Iterator[None]:
    """Hold the lock of a folder; say so when waiting for it."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"Waiting for another build (lock: {folder}/.lock)")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def ensure_binary() -> Path:
    """Path of the binary, which is built if it is not cached.

    Raises:
        ClusterError: the build failed; the message names its log.
    """
    binary = binary_path()
    if binary.exists():
        return binary
    with build_lock(binary.parent.parent):
        if not binary.exists():
            _build(binary)
    return binary


def _build(binary: Path) -> None:
    folder = source_folder()
    go_mod = (folder / "go.mod").read_text()
    version = kubernetes_version(go_mod)
    go = find_go(required_version(go_mod))
    say(f"Building Kubernetes {version} from its Go modules, once per revision of go.mod.")
    say(
        "  This takes about 10 minutes on two cores and 6 GB of Go's caches. It can be interrupted."
    )
    binary.parent.mkdir(parents=True, exist_ok=True)
    log = binary.parent / "build.log"
    log.unlink(missing_ok=True)
    progress = Progress()
    _go(
        [go, "mod", "download", "-x"],
        log,
        progress,
        lambda lines: f"downloading modules, {len(lines)} requests",
    )
    total = len(run([go, "list", "-deps", "."], cwd=folder, env=_environment()).splitlines())
    _build_package([go, "./pause"], pause_path(), "-s -w", progress, total)
    _build_package([go, "."], binary, linker_flags(version), progress, total)
    megabytes = binary.stat().st_size // 10**6
    say(f"Built {binary} ({megabytes} MB) in {elapsed(progress.seconds)}")


def _build_package(
    go_and_package: list[str], target: Path, ldflags: str, progress: Progress, total: int
) -> None:
    """Build one program, then rename it into place."""
    go, package = go_and_package
    partial = target.with_suffix(f".{os.getpid()}")
    command = [go, "build", "-v", *BUILD_FLAGS, "-ldflags", ldflags, "-o", str(partial), package]
    _go(
        command,
        target.with_name("build.log"),
        progress,
        lambda lines: f"{len(lines)} of at most {total} packages compiled",
    )
    partial.replace(target)


def _go(
    command: list[str], log: Path, progress: Progress, describe: Callable[[list[str]], str]
) -> None:
    follow(command, log, progress, describe, cwd=source_folder(), env=_environment())


def _environment() -> dict[str, str]:
    # The user's GOFLAGS (such as -mod=mod) must not change what go.mod and go.sum pin.
    return {**os.environ, "GOFLAGS": "-mod=readonly", "CGO_ENABLED": "0", "GOWORK": "off"}
