"""Turns a listing of an object store into items with paths below the model's folder. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from model_server.download.errors import DownloadFailed, ModelNotFound
from model_server.download.sources import Item, Opener
from model_server.download.uri import BucketUri

MAX_OBJECTS = 10_000


@dataclass(frozen=True)
class StoredObject:
    """One object as a listing shows it.

    Attributes:
        size: In bytes.
        version: Names this very content: an ETag, a generation.
    """

    key: str
    size: int
    version: str


def folder_of(uri: BucketUri) -> str:
    """The prefix of what is below a folder: empty for the whole bucket, else ending in a slash."""
    return uri.key if not uri.key or uri.key.endswith("/") else uri.key + "/"


def folder_items(
    uri: BucketUri, listing: Iterable[StoredObject], opener: Callable[[StoredObject], Opener]
) -> list[Item]:
    """The objects below a folder, their paths relative to it.

    Raises:
        ModelNotFound: there are none.
        DownloadFailed: there are too many for a model.
    """
    prefix = folder_of(uri)
    items: list[Item] = []
    for stored in listing:
        path = stored.key[len(prefix) :]
        if not path or path.endswith("/"):  # the marker that consoles make for a folder
            continue
        if len(items) == MAX_OBJECTS:
            raise DownloadFailed(
                f"{uri.shown} has more than {MAX_OBJECTS} objects; storageUri must name the "
                "model's own folder"
            )
        shown = f"{uri.scheme}://{uri.bucket}/{stored.key}"
        items.append(Item(path=path, shown=shown, open=opener(stored), size=stored.size))
    if not items:
        raise ModelNotFound(f"there is no object {uri.shown}, nor any below it as a folder")
    return items
