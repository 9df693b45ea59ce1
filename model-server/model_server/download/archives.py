"""Unpacks untrusted .zip, .tar, .tar.gz and .tgz archives."""

from __future__ import annotations

import struct
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from model_server.download.errors import UnsafeArchive
from model_server.download.tar_archive import unpack_tar
from model_server.download.unpacking import Budget, Writer
from model_server.download.zip_archive import unpack_zip


def unpack(archive: Path, folder: Path, kind: str, max_bytes: int, keep: str = "") -> None:
    """Unpacks an archive into a folder that does not exist yet.

    Args:
        archive: Archive file.
        folder: Folder to create.
        kind: "zip", "tar" or "tar.gz".
        max_bytes: Maximum number of bytes to write.
        keep: Unpacks only the members below this folder of the archive and strips it from their
            paths. Empty for all members.

    Raises:
        UnsafeArchive: if the archive is unsafe or damaged.
        ModelTooLarge: if it unpacks to more than `max_bytes`.
        NoSpace: if the volume is full.
    """
    writer = Writer(folder, Budget(archive.stat().st_size, max_bytes), keep)
    with archive.open("rb") as file, _readable():
        if kind == "zip":
            unpack_zip(file, writer)
        else:
            unpack_tar(file, writer, compressed=kind == "tar.gz")


@contextmanager
def _readable() -> Iterator[None]:
    """Turns a parser's errors about a damaged or malicious archive into UnsafeArchive.

    On malicious input, the parsers raise more exception types than they document.
    """
    try:
        yield
    except (
        *(tarfile.TarError, zipfile.BadZipFile, zlib.error, struct.error, OSError, EOFError),
        *(ValueError, LookupError, OverflowError, NotImplementedError, RecursionError),
    ) as error:
        raise UnsafeArchive(f"it is damaged or not an archive ({error})") from error
