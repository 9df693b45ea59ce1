"""Reads untrusted tar files. Only this module uses `tarfile`.

On the Python versions we support, tarfile's own filter can be bypassed (CVE-2025-4517,
CVE-2025-4330) and its parser can be made to loop (CVE-2025-8194), so we rely on neither.
"""

from __future__ import annotations

import gzip
import io
import re
import tarfile
from collections.abc import Callable
from functools import partial
from typing import IO, Any, BinaryIO, Self, cast

from model_server.download.errors import UnsafeArchive
from model_server.download.member_names import show
from model_server.download.progress import amount
from model_server.download.unpacking import CHUNK, Writer

MAX_HEADER_BYTES = 1 << 20
_MANY_DIGITS = re.compile(rb"[0-9]{101}")


class _Header(tarfile.TarInfo):
    """A tar header that is checked before `tarfile` acts on it.

    Attributes:
        is_checked: Whether our hook was called, which `tarfile` does not guarantee.
    """

    is_checked = False

    _EXTENDED = (
        tarfile.XHDTYPE,
        tarfile.XGLTYPE,
        tarfile.SOLARIS_XHDTYPE,
        tarfile.GNUTYPE_LONGNAME,
        tarfile.GNUTYPE_LONGLINK,
    )

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
        """Reads a 512-byte header.

        Raises:
            UnsafeArchive: see `_check`.
        """
        return cls._check(buf, partial(super().frombuf, buf, encoding, errors))

    @classmethod
    def _frombuf(
        cls, buf: bytes | bytearray, encoding: str, errors: str, *, dircheck: bool = True
    ) -> Self:
        """Does the same in newer Pythons, whose `tarfile` calls this instead of `frombuf`."""
        base = super()._frombuf  # type: ignore[misc] # private, and missing in older Pythons
        return cls._check(buf, partial(base, buf, encoding, errors, dircheck=dircheck))

    @classmethod
    def _check(cls, buf: bytes | bytearray, read: Callable[[], Self]) -> Self:
        """Reads a header and checks it.

        Raises:
            UnsafeArchive: if the header is damaged (`tarfile` would take it for the end of the
                archive), has a negative size (which would move the parser backwards), or is an
                extended header larger than `MAX_HEADER_BYTES` (it is read into memory whole).
        """
        try:
            header = read()
        except tarfile.HeaderError as error:
            if buf.count(0) == len(buf):  # empty or all zeros: the end of the archive
                raise
            raise UnsafeArchive(f"it is damaged or not an archive ({error})") from error
        if header.size < 0:
            raise UnsafeArchive("a member has a negative size")
        if header.type in cls._EXTENDED and header.size > MAX_HEADER_BYTES:
            raise UnsafeArchive(f"a member's header is larger than {amount(MAX_HEADER_BYTES)}")
        header.is_checked = True
        return header

    def _proc_pax(self, archive: tarfile.TarFile) -> tarfile.TarInfo:
        """Reads an extended header after checking that parsing it is fast.

        The parser's regular expressions take quadratic time on long runs of digits and on
        overlapping records (CVE-2024-6232).
        """
        blocks = -(-self.size // tarfile.BLOCKSIZE) * tarfile.BLOCKSIZE
        stream = cast("IO[bytes]", archive.fileobj)
        content = stream.read(blocks)
        check_pax(content[: self.size])
        archive.fileobj = cast("Any", _Replayed(content, stream))
        try:
            return cast("tarfile.TarInfo", super()._proc_pax(archive))  # type: ignore[misc]
        finally:
            archive.fileobj = cast("Any", stream)


class _Replayed:
    """A stream that returns content that was already read, then the rest of the stream."""

    def __init__(self, content: bytes, stream: IO[bytes]) -> None:
        self._content, self._stream = content, stream

    def read(self, size: int) -> bytes:
        """Returns at most `size` bytes."""
        given, self._content = self._content[:size], self._content[size:]
        return given if given or not size else self._stream.read(size)

    def tell(self) -> int:
        """Returns the position of the next byte."""
        return self._stream.tell() - len(self._content)

    def seek(self, position: int) -> int:
        """Seeks in the stream, which can only seek forward."""
        return self._stream.seek(position)


def check_pax(content: bytes) -> None:
    r"""Checks that an extended header consists of POSIX records, `LENGTH KEY=VALUE\n`.

    Raises:
        UnsafeArchive: if it does not, or has more than 100 digits in a row.
    """
    if _MANY_DIGITS.search(content):
        raise UnsafeArchive("a member's header has more digits in a row than any name or number")
    at = 0
    while at < len(content) and content[at]:
        digits, space, _ = content[at : at + 9].partition(b" ")
        length = int(digits) if space and digits.isdigit() else 0
        record = content[at : at + length]
        if length <= len(digits) + 3 or not record.endswith(b"\n") or b"=" not in record:
            raise UnsafeArchive("a member's extended header is malformed")
        at += length


class _Metered(io.RawIOBase):
    """A stream that limits how many bytes the parser may read for the current member.

    The limit stops headers that claim an enormous size before they fill the memory.
    """

    def __init__(self, stream: IO[bytes]) -> None:
        super().__init__()
        self._stream = stream
        self._allowance = 0

    def allow(self, count: int) -> None:
        """Allows reading `count` more bytes, plus a margin for headers and buffers."""
        self._allowance = count + 4 * MAX_HEADER_BYTES

    def readable(self) -> bool:
        """Required by the base class."""
        return True

    def read(self, size: int = -1) -> bytes:
        """Returns at most `size` bytes.

        Raises:
            UnsafeArchive: if more bytes are read than allowed.
        """
        data = self._stream.read(size if size >= 0 else CHUNK)
        self._allowance -= len(data)
        if self._allowance < 0:
            raise UnsafeArchive("it has more in it than its files")
        return data


def unpack_tar(file: BinaryIO, writer: Writer, *, compressed: bool) -> None:
    """Passes each wanted member to the writer, then reads to the end to verify gzip's checksum.

    Raises:
        UnsafeArchive: if a member is not a plain file or folder, or its header is invalid.
    """
    metered = _Metered(cast("IO[bytes]", gzip.GzipFile(fileobj=file)) if compressed else file)
    metered.allow(0)
    stream = cast("IO[bytes]", metered)
    # "r|" reads a stream, so the parser cannot seek backwards.
    with tarfile.open(fileobj=stream, mode="r|", tarinfo=_Header, errorlevel=1) as archive:
        while (member := archive.next()) is not None:
            if not getattr(member, "is_checked", False):
                raise UnsafeArchive("its headers cannot be checked with this version of Python")
            writer.budget.count_member()
            metered.allow(member.size)
            if writer.wants(member.name):
                _add_tar_member(archive, member, writer)
            else:
                writer.budget.count_bytes(member.size)
    metered.allow(0)
    while metered.read(CHUNK):  # gzip's checksum is at the end
        pass


def _add_tar_member(archive: tarfile.TarFile, member: tarfile.TarInfo, writer: Writer) -> None:
    if member.isdir():
        writer.folder(member.name)
        return
    if not member.isreg() or member.issparse():
        raise UnsafeArchive(f"{show(member.name)} is {_kind(member)}")
    content = archive.extractfile(member)
    if content is None:
        raise UnsafeArchive(f"{show(member.name)} cannot be read")
    with content:
        writer.file(member.name, content, member.size)


def _kind(member: tarfile.TarInfo) -> str:
    if member.issym() or member.islnk():
        return "a link; pack the files themselves (tar --dereference --hard-dereference)"
    if member.issparse():
        return "a sparse file; pack it without --sparse"
    return "neither a file nor a folder"
