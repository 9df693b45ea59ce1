"""Assembles a model's folder from downloaded files by unpacking or moving them, then checks it.

The check uses the server's own rule for finding a model, so every model that passes can be found
by the server.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

from model_server.download.archives import unpack
from model_server.download.content import is_archive, kind_of_content, name_model, recognize
from model_server.download.errors import (
    ChecksumMismatch,
    ModelNotFound,
    ModelTooLarge,
    UnsafeArchive,
)
from model_server.download.fetch import Fetched, no_space
from model_server.download.member_names import Names, check_name, show
from model_server.download.progress import amount
from model_server.download.sources import Item
from model_server.errors import InvalidModel
from model_server.models.source import find_model

Pair = tuple[Item, Fetched]


def assemble(pairs: Sequence[Pair], content: Path, max_bytes: int) -> None:
    """Assembles a model's files in one folder.

    Args:
        pairs: Items with their files. Each file is moved, or unpacked and deleted.
        content: Folder to create.
        max_bytes: Maximum size of the folder's content in bytes.

    Raises:
        DownloadError: if an archive is unsafe or too large, a name is unsafe, or there is no model.
    """
    if len(pairs) == 1 and not pairs[0][0].unpack:
        _single(*pairs[0], content, max_bytes)
    else:
        _several(pairs, content, max_bytes)


def check_model(content: Path, shown: str) -> None:
    """Checks that a folder contains exactly one model.

    Raises:
        ModelNotFound: if there is none, or more than one; the message lists the folder's files.
    """
    try:
        find_model(str(content))
    except InvalidModel as error:
        said = error.message.removeprefix("model: ").replace(str(content), shown)
        raise ModelNotFound(f"{said}; it has {_listing(content)}") from error


def check_files(content: Path, digests: Mapping[str, str], shown: str) -> None:
    """Checks that a model's files have the expected digests.

    Args:
        content: The model's folder.
        digests: Expected SHA-256 in hex, keyed by path in the folder.
        shown: The model's address, for messages.

    Raises:
        ChecksumMismatch: if a file is missing or has a different digest.
    """
    for path, expected in digests.items():
        file = content / path
        if not file.is_file():
            raise ChecksumMismatch(
                f"{shown} has no file {path}, whose checksum was asked for; it has "
                f"{_listing(content)}"
            )
        with file.open("rb") as stream:
            found = hashlib.file_digest(stream, "sha256").hexdigest()
        if found != expected:
            raise ChecksumMismatch(
                f"{path} of {shown} has the SHA-256 {found}, but {expected} was asked for; what is "
                "there is another model, or the checksum is wrong"
            )


def _single(item: Item, fetched: Fetched, content: Path, max_bytes: int) -> None:
    check_name(item.path)
    names = (item.path, fetched.filename)
    kind = recognize(fetched.path, names, item.shown)
    if is_archive(kind):
        _unpack(item, fetched, content, kind, max_bytes)
        return
    (name,) = check_name(name_model(names, kind).rpartition("/")[2])
    _move(fetched.path, content / name)


def _several(pairs: Sequence[Pair], content: Path, max_bytes: int) -> None:
    names = Names()
    with no_space(content):
        content.mkdir()
    left = max_bytes
    for number, (item, fetched) in enumerate(pairs):
        if not item.unpack:
            parts = check_name(item.path)
            names.add_file(parts)
            _move(fetched.path, content.joinpath(*parts))
            left -= fetched.size
            continue
        kind = kind_of_content(fetched.path)
        if kind not in {"tar", "tar.gz"}:
            raise UnsafeArchive(f"{item.shown} should be a tar or tar.gz archive, and is not")
        unpacked = content.with_name(f"layer{number}")
        _unpack(item, fetched, unpacked, kind, left)
        left -= _merge(unpacked, content, replace=bool(item.keep))
        if left < 0:
            raise ModelTooLarge(f"there is more than the {amount(max_bytes)} that are allowed")


def _unpack(item: Item, fetched: Fetched, folder: Path, kind: str, max_bytes: int) -> None:
    try:
        unpack(fetched.path, folder, kind, max_bytes, item.keep)
    except (UnsafeArchive, ModelTooLarge) as error:
        raise type(error)(f"{item.shown}: {error}") from error
    fetched.path.unlink()


def _merge(source: Path, target: Path, *, replace: bool) -> int:
    """Moves a layer's files over those of earlier layers and returns their size in bytes."""
    moved = 0
    for path in sorted(source.rglob("*")):
        place = target / path.relative_to(source)
        if path.is_dir():
            continue
        if path.name.startswith(".wh."):
            raise UnsafeArchive(
                "a layer of the image removes files of another; build the image so that the "
                "model is added once"
            )
        if place.exists() and not (replace and place.is_file()):
            raise UnsafeArchive(f"{show(str(path.relative_to(source)))} is in it twice")
        moved += path.stat().st_size
        _move(path, place)
    return moved


def _move(source: Path, target: Path) -> None:
    with no_space(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        source.chmod(0o644)
        source.rename(target)


def _listing(folder: Path) -> str:
    """Lists the first few files of a folder, for a message."""
    files = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))
    if not files:
        return "nothing in it"
    more = f" and {len(files) - 8} more" if len(files) > 8 else ""
    return ", ".join(ascii(name)[1:-1] for name in files[:8]) + more
