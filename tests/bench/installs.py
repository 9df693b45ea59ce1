"""Virtual environments of the peers and the load generator, installed once into the cache.

Versions are pinned in ``environments/*.txt`` (compiled from ``*.in`` beside them by
``python -m bench lock``) and in ``load_generator/go.sum``. Nothing is installed into the
project's own environment. A failed install is the contestant's result, not the run's end.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

from bench import paths
from local_cluster.errors import ClusterError
from local_cluster.toolchain import find_go, required_version


class NotInstalled(Exception):
    """A contestant could not be installed; the message is the installer's own last words."""


def names() -> list[str]:
    """Every environment there are requirements for."""
    return sorted(path.stem for path in paths.ENVIRONMENTS.glob("*.in"))


def python(name: str) -> Path:
    """The interpreter of an environment, installed first when it is missing or has changed.

    Raises:
        NotInstalled: The installer failed.
    """
    requirements = paths.ENVIRONMENTS / f"{name}.txt"
    folder = paths.cache("venvs", name)
    stamp = folder / ".installed"
    wanted = hashlib.sha256(requirements.read_bytes()).hexdigest()
    if not stamp.exists() or stamp.read_text(encoding="utf-8") != wanted:
        _run([_uv(), "venv", "--quiet", "--clear", "--python", sys.executable, str(folder)])
        _run(
            [
                # Otherwise each start would compile what it imports, Flask as much as Ray.
                *(_uv(), "pip", "sync", "--quiet", "--compile-bytecode"),
                *("--python", str(folder / "bin" / "python"), str(requirements)),
            ]
        )
        stamp.write_text(wanted, encoding="utf-8")
    return folder / "bin" / "python"


def compile_sources() -> None:
    """Compiles this software and the peers' programs, as the image's build does.

    Raises:
        NotInstalled: It failed.
    """
    _run([sys.executable, "-m", "compileall", "-q", str(paths.SERVER), str(paths.HERE)])


def lock() -> None:
    """Resolve every ``environments/*.in`` again into the ``*.txt`` beside it."""
    for name in names():
        _run(
            [
                *(_uv(), "pip", "compile", "--quiet", "--python-version", "3.11"),
                *("--no-header", "--no-annotate", "--no-emit-index-url"),
                *("--output-file", str(paths.ENVIRONMENTS / f"{name}.txt")),
                str(paths.ENVIRONMENTS / f"{name}.in"),
            ]
        )


def load_generator() -> Path:
    """The vegeta binary, built from its Go module at the pinned version when it is missing.

    Raises:
        NotInstalled: There is no Go, or the build failed.
    """
    digest = hashlib.sha256((paths.LOAD_GENERATOR / "go.sum").read_bytes()).hexdigest()[:12]
    binary = paths.cache("bin", f"vegeta-{digest}")
    if not binary.exists():
        go = _go()
        built = binary.with_suffix(".partial")
        _run([go, "build", "-o", str(built), "github.com/tsenart/vegeta/v12"], paths.LOAD_GENERATOR)
        built.rename(binary)
    return binary


def _go() -> str:
    required = required_version((paths.LOAD_GENERATOR / "go.mod").read_text(encoding="utf-8"))
    try:
        return find_go(required)
    except ClusterError as error:
        raise NotInstalled(str(error)) from error


def _uv() -> str:
    kept = paths.cache().parent / "tools" / "bin" / "uv"
    found = str(kept) if kept.exists() else shutil.which("uv")
    if not found:
        raise NotInstalled("uv is missing: run `make setup` first")
    return found


def _run(command: list[str], directory: Path | None = None) -> None:
    answer = subprocess.run(
        command,
        cwd=directory,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "GOFLAGS": "-mod=readonly"},
    )
    if answer.returncode:
        last = answer.stderr.strip().splitlines()[-3:]
        raise NotInstalled(f"{Path(command[0]).name} {command[1]}: {' '.join(last)}")
