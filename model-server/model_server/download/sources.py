"""What every kind of storage offers: named items whose bytes can be opened anywhere in them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class Body:
    """Bytes on their way.

    Attributes:
        offset: Where in the item they begin: what was asked for, or 0 when the other side starts
            over.
        total: Size of the whole item in bytes, or None when the other side does not say.
        validator: Changes when the item's content does; empty when the other side has none. With
            it a later request can continue.
        chunks: The bytes. May raise Transient.
        close: Releases the connection.
        filename: A name that the other side suggests, or empty.
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
        """The bytes from `offset` on, if the content is still that of `validator`.

        Raises:
            DownloadError: it cannot be had.
            Transient: it may be had at the next try.
        """
        ...


@dataclass(frozen=True)
class Item:
    """One file to fetch.

    Attributes:
        path: Where it belongs in the model's folder, with slashes. Not yet checked.
        shown: Its address for people.
        open: Gives its bytes.
        sha256: Expected digest in hex, or empty.
        size: In bytes, if it is known beforehand.
        unpack: True if it is an archive whose content is wanted in its place; None if its name
            and content decide.
        keep: With `unpack`: only members below this folder, taken out of it. Empty: all.
    """

    path: str
    shown: str
    open: Opener
    sha256: str = ""
    size: int | None = None
    unpack: bool | None = None
    keep: str = ""
