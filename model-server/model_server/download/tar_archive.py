"""Reads tar files that were perhaps made to hurt. Only this module uses `tarfile`.

Its own filter can be bypassed on the Python versions we run on (CVE-2025-4517, -4330) and its
parser can be driven in circles (CVE-2025-8194), so nothing is left to either.
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
        is_checked: whether our hook was called; `tarfile` does not promise to call it.
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
        """Reads the 512 bytes of a header.

        Raises:
            UnsafeArchive: see `_check`.
        """
        return cls._check(buf, partial(super().frombuf, buf, encoding, errors))

    @classmethod
    def _frombuf(
        cls, buf: bytes | bytearray, encoding: str, errors: str, *, dircheck: bool = True
    ) -> Self:
        """The same for newer Pythons, whose `tarfile` calls this instead of `frombuf`."""
        base = super()._frombuf  # type: ignore[misc] # private, and absent from older Pythons
        return cls._check(buf, partial(base, buf, encoding, errors, dircheck=dircheck))

    @classmethod
    def _check(cls, buf: bytes | bytearray, read: Callable[[], Self]) -> Self:
        """Reads a header and checks it.

        Raises:
            UnsafeArchive: it is damaged (`tarfile` would take that for the archive's end), its
                size is negative, which would lead the parser back, or it is of an extended header
                that would be read into memory whole.
        """
        try:
            header = read()
        except tarfile.HeaderError as error:
            if buf.count(0) == len(buf):  # nothing, or zeros: this is the end
                raise
            raise UnsafeArchive(f"it is damaged or not an archive ({error})") from error
        if header.size < 0:
            raise UnsafeArchive("a member has a negative size")
        if header.type in cls._EXTENDED and header.size > MAX_HEADER_BYTES:
            raise UnsafeArchive(f"a member's header is larger than {amount(MAX_HEADER_BYTES)}")
        header.is_checked = True
        return header

    def _proc_pax(self, archive: tarfile.TarFile) -> tarfile.TarInfo:
        """Reads an extended header once it is known that reading it takes no time.

        The parser searches it with regular expressions that take quadratic time over digits and
        over records that overlap (CVE-2024-6232).
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
    """A stream of which something was read already, and is given once more."""

    def __init__(self, content: bytes, stream: IO[bytes]) -> None:
        self._content, self._stream = content, stream

    def read(self, size: int) -> bytes:
        """At most `size` bytes."""
        given, self._content = self._content[:size], self._content[size:]
        return given if given or not size else self._stream.read(size)

    def tell(self) -> int:
        """Where the next byte is."""
        return self._stream.tell() - len(self._content)

    def seek(self, position: int) -> int:
        """Only forward, as the stream."""
        return self._stream.seek(position)


def check_pax(content: bytes) -> None:
    r"""Makes sure that an extended header is what POSIX says: records `LENGTH KEY=VALUE\n`.

    Raises:
        UnsafeArchive: it is not, or has more digits in a row than any name or number.
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
    """Gives no more bytes than the parser needs for what it is at.

    A header that claims to be endless is cut off here, before it fills the memory.
    """

    def __init__(self, stream: IO[bytes]) -> None:
        super().__init__()
        self._stream = stream
        self._allowance = 0

    def allow(self, count: int) -> None:
        """So many bytes, and what headers and buffers need, may be read from now on."""
        self._allowance = count + 4 * MAX_HEADER_BYTES

    def readable(self) -> bool:
        """Required by the base class."""
        return True

    def read(self, size: int = -1) -> bytes:
        """At most `size` bytes.

        Raises:
            UnsafeArchive: more than was allowed.
        """
        data = self._stream.read(size if size >= 0 else CHUNK)
        self._allowance -= len(data)
        if self._allowance < 0:
            raise UnsafeArchive("it has more in it than its files")
        return data


def unpack_tar(file: BinaryIO, writer: Writer, *, compressed: bool) -> None:
    """Hands every member to the writer; reads to the end, where gzip has its checksum.

    Raises:
        UnsafeArchive: a member is no plain file or folder, or its header is absurd.
    """
    metered = _Metered(cast("IO[bytes]", gzip.GzipFile(fileobj=file)) if compressed else file)
    metered.allow(0)
    stream = cast("IO[bytes]", metered)
    # "r|": a stream, in which the parser cannot go back.
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
    while metered.read(CHUNK):  # the checksum is at the end
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
