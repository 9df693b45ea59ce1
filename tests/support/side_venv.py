"""Environments of their own for programs that tests run but that do not belong in ours.

Each is made once from a hashed lock file, kept in the user's cache, and found again by the hash of
that file. Two test processes at the same time make it once.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path


def _cache() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "inference-operator" / "venvs"


def side_venv(lock: Path) -> Path:
    """The folder of executables of an environment with exactly the packages of a lock file.

    Args:
        lock: Requirements with a hash for each, as `uv pip compile --generate-hashes` writes them.
    """
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    key = hashlib.sha256(lock.read_bytes() + version.encode()).hexdigest()[:16]
    folder = _cache() / f"{lock.stem}-{key}"
    folder.parent.mkdir(parents=True, exist_ok=True)
    with (folder.parent / f"{folder.name}.lock").open("w") as guard:
        fcntl.flock(guard, fcntl.LOCK_EX)
        if not (folder / "complete").is_file():
            shutil.rmtree(folder, ignore_errors=True)
            subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
            _install(folder, lock)
            (folder / "complete").touch()
    return folder / "bin"


def _install(folder: Path, lock: Path) -> None:
    command = [
        str(folder / "bin" / "python"),
        *("-m", "pip", "install", "--quiet", "--disable-pip-version-check"),
        *("--require-hashes", "--no-deps", "--requirement", str(lock)),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"cannot install {lock.name}:\n{done.stdout}{done.stderr}")
