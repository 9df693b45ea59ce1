"""Recognizes a downloaded file by its name and its first bytes.

Messages never quote content, which may come from a source that the reader cannot access.
"""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Literal

from model_server.download.errors import ModelNotFound, UnsafeArchive
from model_server.download.zip_archive import check_directory_size

Kind = Literal["zip", "tar", "tar.gz", "tflite", "keras", "h5"]

ARCHIVES: tuple[tuple[str, Kind], ...] = (
    (".tar.gz", "tar.gz"),
    (".tgz", "tar.gz"),
    (".tar", "tar"),
    (".zip", "zip"),
)
_MODELS: tuple[tuple[str, Kind], ...] = (
    (".tflite", "tflite"),
    (".keras", "keras"),
    (".h5", "h5"),
    (".hdf5", "h5"),
)
# Keras can write HDF5 to a file with any name.
_OLD_KERAS = ("keras", "h5")
_SUFFIX_OF: dict[Kind, str] = {"tflite": ".tflite", "keras": ".keras", "h5": ".h5"}
_OTHERS: tuple[tuple[bytes, str], ...] = (
    (b"version https://git-lfs", "a Git LFS pointer, not the file that it points to"),
    (b"<!doctype", "a web page"),
    (b"<html", "a web page"),
    (b"<?xml", "XML"),
    (b"{", "JSON"),
    (b"\xfd7zXZ\x00", "an .xz archive; .zip, .tar and .tar.gz can be read"),
    (b"BZh", "a .bz2 archive; .zip, .tar and .tar.gz can be read"),
    (b"7z\xbc\xaf\x27\x1c", "a .7z archive; .zip, .tar and .tar.gz can be read"),
    (b"\x28\xb5\x2f\xfd", "a .zst archive; .zip, .tar and .tar.gz can be read"),
)


def kind_of_name(name: str) -> Kind | None:
    """Returns the kind that a file name's extension indicates, or None."""
    lowered = name.lower()
    return next((kind for ending, kind in (*ARCHIVES, *_MODELS) if lowered.endswith(ending)), None)


def kind_of_content(path: Path) -> Kind | None:
    """Returns the kind that a file's first bytes indicate, or None."""
    head = _head(path)
    if head[4:8] == b"TFL3":
        return "tflite"
    if head.startswith(b"\x89HDF\r\n\x1a\n"):
        return "h5"
    if head.startswith(b"\x1f\x8b"):
        return "tar.gz"
    if head[257:262] == b"ustar":
        return "tar"
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return "keras" if _is_keras(path) else "zip"
    return None


def is_archive(kind: Kind) -> bool:
    """Returns whether files of this kind must be unpacked."""
    return kind in {"zip", "tar", "tar.gz"}


def name_model(names: tuple[str, ...], kind: Kind) -> str:
    """Returns the first of `names` with the kind's extension, or `model` plus that extension."""
    for name in names:
        if name and kind_of_name(name) == kind:
            return name
    return f"model{_SUFFIX_OF[kind]}"


def recognize(path: Path, names: tuple[str, ...], shown: str) -> Kind:
    """Returns the kind of a downloaded file.

    Args:
        path: Downloaded file.
        names: Possible names of the file, most trusted first.
        shown: The file's address, for messages.

    Raises:
        ModelNotFound: if the file is neither a model nor an archive, or does not match its name;
            the message says what it looks like.
    """
    found = kind_of_content(path)
    told = next((kind for kind in map(kind_of_name, names) if kind), None)
    # Both .keras and .zip files are zip files, so the name decides.
    if told and (told == found or {told, found} == {"keras", "zip"} or (told, found) == _OLD_KERAS):
        return told
    if told is None and found is not None:
        return found
    if told == "tar" and found is None and path.stat().st_size >= 512:
        return "tar"  # the oldest tar format has no magic number
    what = _other(path)
    if told is None:
        raise ModelNotFound(
            f"{shown} is {what}; storageUri must lead to a .tflite, .keras or .h5 file, or to a "
            ".zip, .tar or .tar.gz archive with a model in it"
        )
    raise ModelNotFound(f"{shown} should be a {told} file, but it is {what}")


def _other(path: Path) -> str:
    head = _head(path).lstrip().lower()
    if not head:
        return "empty"
    for start, what in _OTHERS:
        if head.startswith(start.lower()):
            return what
    found = kind_of_content(path)
    return f"a {found} file" if found else "no kind of file that is known here"


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(512)


def _is_keras(path: Path) -> bool:
    """Returns whether a zip file has the top-level members of a .keras file."""
    try:
        with path.open("rb") as file:
            check_directory_size(file, path.stat().st_size)
            with zipfile.ZipFile(file) as archive:
                names = set(archive.namelist())
    except (UnsafeArchive, zipfile.BadZipFile, ValueError, OSError, NotImplementedError):
        return False
    return {"config.json", "model.weights.h5"} <= names
