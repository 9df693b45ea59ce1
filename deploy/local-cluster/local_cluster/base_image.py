"""Builds a base image where no registry is reachable: a small Debian from the machine's mirrors.

It replaces `python:3.11-slim-bookworm`: Debian 12 with Python 3.11 and venv, without apt. It is
built once, cached under a digest of its inputs, and rebuilt on request to get security updates.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

from local_cluster.build import build_lock
from local_cluster.console import Progress, elapsed, say
from local_cluster.errors import ClusterError, CommandError
from local_cluster.layout import cache_folder
from local_cluster.processes import run

SUITE = "bookworm"
# libstdc++ is what compiled Python wheels expect of any system. usr-is-merged stands for usrmerge,
# which would bring all of Perl; the hook makes it true.
PACKAGES = ("usr-is-merged", "python3", "python3-venv", "ca-certificates", "libstdc++6")
MERGED_USR_HOOK = "/usr/share/mmdebstrap/hooks/merged-usr"
# Containers need no manuals and no translations.
UNUSED = ("/usr/share/doc/*", "/usr/share/man/*", "/usr/share/info/*", "/usr/share/locale/*")
SOURCE_FOLDERS = (Path("/etc/apt/sources.list"), Path("/etc/apt/sources.list.d"))
# The date inside the archive, so that equal packages give an equal archive.
EPOCH = "1700000000"


@dataclass(frozen=True)
class BaseArchive:
    """A root file system as a tar file.

    Attributes:
        path: the file.
        digest: SHA-256 of its content, hexadecimal.
    """

    path: Path
    digest: str


def is_debian_source(text: str) -> bool:
    """Whether the text of an apt source file lists the suite's own `main` component."""
    words = text.split()
    return SUITE in words and "main" in words and "debian" in text


def debian_sources() -> list[Path]:
    """The machine's apt source files for the suite; empty on other distributions."""
    single, folder = SOURCE_FOLDERS
    files = [single, *(sorted(folder.iterdir()) if folder.is_dir() else [])]
    wanted = {".list", ".sources"}
    return [
        file
        for file in files
        if file.suffix in wanted and file.is_file() and is_debian_source(file.read_text())
    ]


def command_for(target: Path, sources: list[Path]) -> list[str]:
    """The command that makes the archive; without sources mmdebstrap takes Debian's own mirror."""
    options = [f"--dpkgopt=path-exclude={pattern}" for pattern in UNUSED]
    included = f"--include={','.join(PACKAGES)}"
    return [
        "mmdebstrap", "--quiet", "--variant=essential", f"--hook-dir={MERGED_USR_HOOK}",
        included, *options, SUITE, str(target), *map(str, sources),
    ]  # fmt: skip


def base_key(sources: list[Path]) -> str:
    """Twelve hex digits that change with the recipe and with the machine's mirrors."""
    digest = hashlib.sha256("\0".join(command_for(Path("base.tar"), [])).encode())
    for source in sources:
        digest.update(source.read_bytes())
    return digest.hexdigest()[:12]


def ensure_base(*, refresh: bool = False) -> BaseArchive:
    """The base archive, made first if it is not in the cache or a fresh one is wanted.

    Raises:
        ClusterError: it could not be made.
    """
    sources = debian_sources()
    folder = cache_folder() / "base" / base_key(sources)
    archive, digest = folder / "base.tar", folder / "base.sha256"
    with build_lock(cache_folder() / "base"):
        if refresh or not digest.exists():
            folder.mkdir(parents=True, exist_ok=True)
            digest.unlink(missing_ok=True)
            _make(archive, sources)
            digest.write_text(_sha256(archive))
    return BaseArchive(archive, digest.read_text())


def _make(archive: Path, sources: list[Path]) -> None:
    say(f"Building the base image, Debian {SUITE} with Python, once (about 2 minutes)")
    progress = Progress()
    partial = archive.with_suffix(f".{os.getpid()}.tar")
    try:
        run(command_for(partial, sources), env={**os.environ, "SOURCE_DATE_EPOCH": EPOCH})
        partial.replace(archive)
    except CommandError as error:
        message = f"cannot build the base image; check the machine's apt sources: {error}"
        raise ClusterError(message) from error
    finally:
        partial.unlink(missing_ok=True)
    megabytes = archive.stat().st_size // 10**6
    say(f"Built {archive} ({megabytes} MB) in {elapsed(progress.seconds)}")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
