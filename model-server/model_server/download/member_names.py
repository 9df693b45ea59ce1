"""Checks untrusted file names from archives, object stores and registries. Pure.

A valid name is a relative path of plain parts that means the same on every file system where a
model may be unpacked. Any other name is refused, not repaired.
"""

from __future__ import annotations

import unicodedata

from model_server.download.errors import UnsafeArchive

MAX_NAME_BYTES = 1024
MAX_PART_BYTES = 255
MAX_DEPTH = 32


def check_name(name: str) -> tuple[str, ...]:
    """Returns the parts of a member's path; empty for the top folder itself (`./`).

    Raises:
        UnsafeArchive: if the name could escape the folder or cannot be written unchanged.
    """
    if name.startswith("/") or "\\" in name or name[1:2] == ":":
        raise UnsafeArchive(f"{show(name)} is not a relative path with forward slashes")
    if any(unicodedata.category(char) in {"Cc", "Cf", "Cs"} for char in name):
        raise UnsafeArchive(f"{show(name)} has control characters or bytes that are no text")
    if len(name.encode()) > MAX_NAME_BYTES:
        raise UnsafeArchive(f"{show(name)} is longer than {MAX_NAME_BYTES} bytes")
    parts = tuple(part for part in name.split("/") if part not in {"", "."})
    if ".." in parts:
        raise UnsafeArchive(f"{show(name)} leads out of its folder")
    if any(len(part.encode()) > MAX_PART_BYTES for part in parts):
        raise UnsafeArchive(f"{show(name)} has a part longer than {MAX_PART_BYTES} bytes")
    if len(parts) > MAX_DEPTH:
        raise UnsafeArchive(f"{show(name)} is more than {MAX_DEPTH} folders deep")
    return parts


def is_resource_fork(parts: tuple[str, ...]) -> bool:
    """Returns whether macOS added this member; it is never content, though often named like it."""
    return parts[:1] == ("__MACOSX",) or parts[-1:] == (".DS_Store",) or parts[-1][:2] == "._"


def show(name: str) -> str:
    """Formats a member's name for a message: quoted, escaped and cut to 120 characters."""
    return ascii(name if len(name) <= 120 else name[:120] + "...")


class Names:
    """The names seen so far in one archive; rejects duplicates and file/folder conflicts.

    Names that differ only in case or in Unicode composition count as the same name, because some
    file systems treat them as one.
    """

    def __init__(self) -> None:
        self._files: set[tuple[str, ...]] = set()
        self._folders: set[tuple[str, ...]] = set()

    def add_folder(self, parts: tuple[str, ...]) -> None:
        """Records a folder, which may occur any number of times.

        Raises:
            UnsafeArchive: if the folder or one of its parents is already a file.
        """
        folded = _fold(parts)
        for depth in range(1, len(folded) + 1):
            if folded[:depth] in self._files:
                raise UnsafeArchive(f"{show('/'.join(parts))} is both a file and a folder")
            self._folders.add(folded[:depth])

    def add_file(self, parts: tuple[str, ...]) -> None:
        """Records a file.

        Raises:
            UnsafeArchive: if a file or folder has that name, or one of its parents is a file.
        """
        self.add_folder(parts[:-1])
        folded = _fold(parts)
        if folded in self._files or folded in self._folders:
            raise UnsafeArchive(f"{show('/'.join(parts))} is in it twice")
        self._files.add(folded)


def _fold(parts: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(unicodedata.normalize("NFC", part).casefold() for part in parts)
