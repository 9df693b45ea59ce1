"""The interface of every storage type: named items that can be opened at any offset."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class Body:
    """An open stream of an item's bytes.

    Attributes:
        offset: Where in the item the bytes begin: the requested offset, or 0 if the remote server
            starts over.
        total: Size of the whole item in bytes, or None if the remote server does not report it.
        validator: Changes when the item's content changes, so that a later request can resume;
            empty if the remote server has none.
        chunks: The bytes. Iterating may raise Transient.
        close: Releases the connection.
        filename: Name suggested by the remote server, or empty.
    """

    offset: int
    total: int | None
    validator: str
    chunks: Iterator[bytes]
    close: Callable[[], None]
    filename: str = ""


class Opener(Protocol):
    """Opens an item."""

    def __call__(self, offset: int, validator: str, /) -> Body:
        """Returns the bytes from `offset` on, if the content still matches `validator`.

        Raises:
            DownloadError: if the item cannot be fetched.
            Transient: if a retry may succeed.
        """
        ...


@dataclass(frozen=True)
class Item:
    """One file to fetch.

    Attributes:
        path: Path in the model's folder, with forward slashes. Not yet checked.
        shown: Address for messages and logs.
        open: Opens the item's bytes.
        sha256: Expected digest in hex, or empty.
        size: Size in bytes, or None if not known in advance.
        unpack: True to unpack the item as an archive, None to decide by its name and content.
        keep: With `unpack`, unpacks only members below this folder and strips it from their paths.
            Empty for all members.
    """

    path: str
    shown: str
    open: Opener
    sha256: str = ""
    size: int | None = None
    unpack: bool | None = None
    keep: str = ""
