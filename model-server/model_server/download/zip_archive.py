"""Reads untrusted zip files. Only this module uses `zipfile` to unpack."""

from __future__ import annotations

import stat
import struct
import warnings
import zipfile
from typing import IO, BinaryIO

from model_server.download.errors import UnsafeArchive
from model_server.download.member_names import show
from model_server.download.progress import amount
from model_server.download.unpacking import Writer

MAX_DIRECTORY_BYTES = 16 << 20


def unpack_zip(file: BinaryIO, writer: Writer) -> None:
    """Passes each wanted member to the writer.

    Raises:
        UnsafeArchive: if a member is not a plain file or folder, is encrypted or uses an
            uncommon compression method.
    """
    check_directory_size(file, writer.budget.archive_bytes)
    with zipfile.ZipFile(file) as archive:
        for member in archive.infolist():
            writer.budget.count_member()
            if not writer.wants(member.filename):
                continue
            _check_zip_member(member)
            if member.is_dir():
                writer.folder(member.filename)
                continue
            with _open(archive, member) as content:
                writer.file(member.filename, content, member.file_size)


def _open(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> IO[bytes]:
    """Opens a member; newer Python versions warn about overlapping members, older ones do not.

    Raises:
        UnsafeArchive: if the member shares bytes with another.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            return archive.open(member)
        except UserWarning as error:
            raise UnsafeArchive(f"it is damaged or a decompression bomb ({error})") from error


def _check_zip_member(member: zipfile.ZipInfo) -> None:
    # The name as stored in the archive; `filename` is cut at a null byte.
    if "\x00" in member.orig_filename:
        raise UnsafeArchive(f"{show(member.orig_filename)} has control characters")
    if member.flag_bits & 0x1:
        raise UnsafeArchive(f"{show(member.filename)} is encrypted")
    kind = stat.S_IFMT(member.external_attr >> 16)
    if kind not in {0, stat.S_IFREG, stat.S_IFDIR}:
        what = "a link" if kind == stat.S_IFLNK else "neither a file nor a folder"
        raise UnsafeArchive(f"{show(member.filename)} is {what}; pack the files themselves")
    if member.compress_type not in {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}:
        raise UnsafeArchive(
            f"{show(member.filename)} is compressed in an uncommon way; use deflate"
        )


def check_directory_size(file: BinaryIO, size: int) -> None:
    """Checks the size of a zip's central directory, which `zipfile` reads into memory whole.

    Raises:
        UnsafeArchive: if it is larger than `MAX_DIRECTORY_BYTES`, or there is none.
    """
    file.seek(max(0, size - (1 << 16) - 22))
    tail = file.read()
    at = tail.rfind(b"PK\x05\x06")
    if at < 0 or len(tail) < at + 22:
        raise UnsafeArchive("it is damaged or not an archive (no end of a zip file)")
    (directory_bytes,) = struct.unpack_from("<L", tail, at + 12)
    if directory_bytes == 0xFFFF_FFFF:  # the actual size is in a preceding zip64 record
        record = tail.rfind(b"PK\x06\x06", 0, at)
        if record < 0 or len(tail) < record + 56:
            raise UnsafeArchive("it is damaged or not an archive (no zip64 record)")
        (directory_bytes,) = struct.unpack_from("<Q", tail, record + 40)
    if directory_bytes > MAX_DIRECTORY_BYTES:
        raise UnsafeArchive(f"its list of files is larger than {amount(MAX_DIRECTORY_BYTES)}")
    file.seek(0)
