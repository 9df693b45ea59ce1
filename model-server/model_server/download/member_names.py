"""Names of files that come from others: archives, object stores, registries. Pure.

A name that passes is a relative path of plain parts that means the same on every file system that
a model may be unpacked on; anything else is refused, not repaired.
"""

from __future__ import annotations

import unicodedata

from model_server.download.errors import UnsafeArchive

MAX_NAME_BYTES = 1024
MAX_PART_BYTES = 255
MAX_DEPTH = 32


def check_name(name: str) -> tuple[str, ...]:
    """The parts of a member's path; empty for the top folder itself (`./`).

    Raises:
        UnsafeArchive: the name could lead elsewhere, or not be written as it is.
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
    """Whether a member is what macOS adds to archives: never content, often with its name."""
    return parts[:1] == ("__MACOSX",) or parts[-1:] == (".DS_Store",) or parts[-1][:2] == "._"


def show(name: str) -> str:
    """A member's name for a message: quoted, its odd characters escaped, not too long."""
    return ascii(name if len(name) <= 120 else name[:120] + "...")


class Names:
    """The names of one archive so far: none twice, no file where a folder is.

    Names that differ only in case or in how an accented letter is composed are one name on some
    file systems; they count as the same.
    """

    def __init__(self) -> None:
        self._files: set[tuple[str, ...]] = set()
        self._folders: set[tuple[str, ...]] = set()

    def add_folder(self, parts: tuple[str, ...]) -> None:
        """Notes a folder; it may be named any number of times.

        Raises:
            UnsafeArchive: there is a file of that name, or above it.
        """
        folded = _fold(parts)
        for depth in range(1, len(folded) + 1):
            if folded[:depth] in self._files:
                raise UnsafeArchive(f"{show('/'.join(parts))} is both a file and a folder")
            self._folders.add(folded[:depth])

    def add_file(self, parts: tuple[str, ...]) -> None:
        """Notes a file.

        Raises:
            UnsafeArchive: there is a file or a folder of that name already.
        """
        self.add_folder(parts[:-1])
        folded = _fold(parts)
        if folded in self._files or folded in self._folders:
            raise UnsafeArchive(f"{show('/'.join(parts))} is in it twice")
        self._files.add(folded)


def _fold(parts: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(unicodedata.normalize("NFC", part).casefold() for part in parts)
