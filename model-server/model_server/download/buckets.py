"""Turns an object store's listing into items with paths relative to the model's folder. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from model_server.download.errors import DownloadFailed, ModelNotFound
from model_server.download.sources import Item, Opener
from model_server.download.uri import BucketUri

MAX_OBJECTS = 10_000


@dataclass(frozen=True)
class StoredObject:
    """One object in a listing.

    Attributes:
        size: In bytes.
        version: Identifies this exact content, such as an ETag or a generation.
    """

    key: str
    size: int
    version: str


def folder_of(uri: BucketUri) -> str:
    """Returns the prefix of a folder's objects: empty for the whole bucket, else ending in "/"."""
    return uri.key if not uri.key or uri.key.endswith("/") else uri.key + "/"


def folder_items(
    uri: BucketUri, listing: Iterable[StoredObject], opener: Callable[[StoredObject], Opener]
) -> list[Item]:
    """Returns the objects below a folder, with paths relative to it.

    Raises:
        ModelNotFound: if there are none.
        DownloadFailed: if there are more than `MAX_OBJECTS`.
    """
    prefix = folder_of(uri)
    items: list[Item] = []
    for stored in listing:
        path = stored.key[len(prefix) :]
        if not path or path.endswith("/"):  # the folder marker that consoles create
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
