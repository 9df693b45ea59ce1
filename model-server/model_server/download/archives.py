"""Unpacks .zip, .tar, .tar.gz and .tgz from people nobody knows."""

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
        archive: The file.
        folder: To be created.
        kind: "zip", "tar" or "tar.gz".
        max_bytes: Most bytes to write.
        keep: Only members below this folder of the archive, without that part of their path.

    Raises:
        UnsafeArchive: it must not be unpacked, or is damaged.
        ModelTooLarge: it has more than `max_bytes`.
        NoSpace: the volume is full.
    """
    writer = Writer(folder, Budget(archive.stat().st_size, max_bytes), keep)
    with archive.open("rb") as file, _readable():
        if kind == "zip":
            unpack_zip(file, writer)
        else:
            unpack_tar(file, writer, compressed=kind == "tar.gz")


@contextmanager
def _readable() -> Iterator[None]:
    """Turns a parser's errors about a damaged or absurd archive into one.

    The parsers meet bytes that were made to hurt them, and raise more types than they document.
    """
    try:
        yield
    except (
        *(tarfile.TarError, zipfile.BadZipFile, zlib.error, struct.error, OSError, EOFError),
        *(ValueError, LookupError, OverflowError, NotImplementedError, RecursionError),
    ) as error:
        raise UnsafeArchive(f"it is damaged or not an archive ({error})") from error
