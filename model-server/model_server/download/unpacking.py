"""Writes unpacked files and enforces limits on names and sizes, for all archive formats.

We create every file ourselves, exclusively, below a new folder without links. Sizes are counted
as bytes come out; the archive's own sizes are not trusted. Nothing is repaired or renamed. The
parsers are in a module for each format.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import IO, BinaryIO, cast

from model_server.download.errors import ModelTooLarge, UnsafeArchive
from model_server.download.fetch import no_space
from model_server.download.member_names import Names, check_name, is_resource_fork, show
from model_server.download.progress import amount

MAX_MEMBERS = 20_000
# Weights hardly compress, so no model exceeds this ratio. Small archives are exempt.
MAX_RATIO = 100
RATIO_FREE_BYTES = 64 << 20
CHUNK = 1 << 18


@dataclass
class Budget:
    """Counts what comes out of one archive and enforces its limits.

    Attributes:
        archive_bytes: Size of the archive itself in bytes.
        max_bytes: Maximum total size of its files in bytes.
    """

    archive_bytes: int
    max_bytes: int
    members: int = 0
    bytes: int = 0

    def count_member(self) -> None:
        """Counts one more file or folder.

        Raises:
            UnsafeArchive: if there are more than `MAX_MEMBERS`.
        """
        self.members += 1
        if self.members > MAX_MEMBERS:
            raise UnsafeArchive(f"it has more than {MAX_MEMBERS} files and folders")

    def count_bytes(self, count: int) -> None:
        """Counts unpacked bytes.

        Raises:
            ModelTooLarge: if there are more than `max_bytes`.
            UnsafeArchive: if the compression ratio is too high for a model.
        """
        self.bytes += count
        if self.bytes > self.max_bytes:
            raise ModelTooLarge(
                f"the archive unpacks to more than the {amount(self.max_bytes)} that are allowed "
                "(--max-bytes)"
            )
        if self.bytes > max(RATIO_FREE_BYTES, MAX_RATIO * self.archive_bytes):
            raise UnsafeArchive(
                f"it unpacks to more than {MAX_RATIO} times its size, as a decompression bomb does"
            )


class Writer:
    """Creates the files and folders of one archive below one folder."""

    def __init__(self, folder: Path, budget: Budget, keep: str) -> None:
        self.budget = budget
        self._folder = folder
        self._names = Names()
        self._keep = tuple(part for part in keep.split("/") if part)
        with no_space(folder):
            folder.mkdir(mode=0o755)

    def wants(self, name: str) -> bool:
        """Returns whether a member is below `keep`; all other members are skipped."""
        parts = tuple(part for part in name.split("/") if part not in {"", "."})
        return parts[: len(self._keep)] == self._keep

    def folder(self, name: str) -> None:
        """Creates a folder unless it exists."""
        parts = check_name(name)[len(self._keep) :]
        if not parts or is_resource_fork(parts):
            return
        self._names.add_folder(parts)
        path = self._folder.joinpath(*parts)
        with no_space(path):
            path.mkdir(mode=0o755, parents=True, exist_ok=True)

    def file(self, name: str, content: IO[bytes], size: int) -> None:
        """Creates a file; `size` is the archive's claim, and must be correct.

        Raises:
            UnsafeArchive: if the name is unsafe or taken, or the size is wrong.
        """
        parts = check_name(name)[len(self._keep) :]
        if not parts:
            raise UnsafeArchive(f"{show(name)} should be a folder")
        if is_resource_fork(parts):
            return
        self._names.add_file(parts)
        path = self._folder.joinpath(*parts)
        with no_space(path):
            path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
            with create(path) as target:
                self._copy(name, content, target, size)

    def _copy(self, name: str, content: IO[bytes], target: BinaryIO, size: int) -> None:
        written = 0
        while chunk := content.read(CHUNK):
            written += len(chunk)
            self.budget.count_bytes(len(chunk))
            target.write(chunk)
        if written != size:
            raise UnsafeArchive(f"{show(name)} has {written} bytes, but the archive says {size}")


def create(path: Path) -> BinaryIO:
    """Creates a new file; fails if anything with that name exists, even a dangling link."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o644)
    return cast("BinaryIO", os.fdopen(descriptor, "wb"))
