"""Finds a model's files and determines its format, name and digest without loading the model.

This is the only place that defines the layout of a model's folder: exactly one model, with
companions such as labels next to it. Both the server and the download use it, so it imports nothing
heavy.
"""

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path

from model_server.errors import InvalidModel

BUNDLED_SCHEME = "bundled://"
_BUNDLED = Path(__file__).resolve().parent.parent / "bundled"
_SUFFIXES = {".tflite": "tflite", ".keras": "keras", ".h5": "keras", ".hdf5": "keras"}
_SAVED_MODEL = "saved_model.pb"
_ARCHIVES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".gz", ".7z", ".rar")
_MOST_LISTED = 10


@dataclass(frozen=True)
class ModelSource:
    """A model's location and format.

    Attributes:
        path: The file, or the folder of a SavedModel.
        format: tflite, savedmodel or keras.
        folder: The folder with its labels and other companions.
        name: Default name, derived from the path.
        above: Parent folders that may also contain its labels, nearest first.
    """

    path: Path
    format: str
    folder: Path
    name: str
    above: tuple[Path, ...] = ()

    @property
    def label_folders(self) -> tuple[Path, ...]:
        """Folders to search for labels, in order of precedence; the first with any labels wins."""
        assets = (self.folder / "assets", self.folder / "assets.extra")
        inside = assets if self.format == "savedmodel" else ()
        return (self.folder, *inside, *self.above)


def find_model(location: str, wanted_format: str = "") -> ModelSource:
    """Finds the model that a setting names.

    Args:
        location: A path, or `bundled://NAME`; empty means the bundled detector.
        wanted_format: tflite, savedmodel or keras; empty means any.

    Raises:
        InvalidModel: if there is no model, more than one, or one in a different format.
    """
    location = location or f"{BUNDLED_SCHEME}detector"
    if location.startswith(BUNDLED_SCHEME):
        return _find_bundled(location.removeprefix(BUNDLED_SCHEME))
    path = Path(location)
    if not path.exists():
        raise InvalidModel(f"model: there is no file or folder {location}{_instead_of(path)}")
    source = _in_folder(path, wanted_format) if path.is_dir() else _single_file(path, wanted_format)
    source = _with_folders_above(source, path)
    if wanted_format and source.format != wanted_format:
        raise InvalidModel(
            f"model: {location} holds a {source.format} model, but the format asked for is "
            f"{wanted_format}"
        )
    return source


def _with_folders_above(source: ModelSource, location: Path) -> ModelSource:
    """Adds the folders between the model and the given location.

    Exporters put a SavedModel into `saved_model/` or a version folder, with the labels next to that
    folder. For such models the parent folder is included even if `location` is the SavedModel.
    """
    above: list[Path] = []
    folder = source.folder
    while folder != location and location in folder.parents:
        folder = folder.parent
        above.append(folder)
    if source.format == "savedmodel" and source.folder == location:
        inside = location.resolve()
        if inside.name == "saved_model" or inside.name.isdigit():
            above.append(inside.parent)
    return replace(source, above=tuple(above))


def _instead_of(path: Path) -> str:
    """Lists the nearest existing folder's content; empty for the root or a path below a file."""
    folder = next(parent for parent in path.absolute().parents if parent.exists())
    if not folder.is_dir() or folder == Path(folder.anchor):
        return ""
    try:
        names = [item.name for item in _visible(folder)]
    except OSError:  # the folder is not readable
        return ""
    if not names:
        return f"; {folder} is empty"
    more = len(names) - _MOST_LISTED
    shown = ", ".join(names[:_MOST_LISTED]) + (f" and {more} more" if more > 0 else "")
    return f"; {folder} contains {shown}"


def _find_bundled(name: str) -> ModelSource:
    path = _BUNDLED / name / "model.tflite"
    if not name.isidentifier() or not path.is_file():
        known = sorted(found.parent.name for found in _BUNDLED.glob("*/model.tflite"))
        raise InvalidModel(
            f"model: there is no bundled model {name!r}; there is {', '.join(known) or 'none'}"
        )
    return ModelSource(path, "tflite", path.parent, name)


def _single_file(path: Path, wanted_format: str) -> ModelSource:
    if path.name == _SAVED_MODEL:
        return _in_folder(path.parent, wanted_format)
    found = _SUFFIXES.get(path.suffix.lower()) or _format_from_content(path)
    if path.name.lower().endswith(_ARCHIVES):
        raise InvalidModel(
            f"model: {path.name} is an archive: unpack it on the volume and name what was in it; "
            "only models that are downloaded are unpacked"
        )
    if not found:
        raise InvalidModel(
            f"model: cannot tell the format of {path.name}; it should be a .tflite, .keras or .h5 "
            "file, or a folder with saved_model.pb"
        )
    return ModelSource(path, found, path.parent, _clean_name(path.stem))


def _format_from_content(path: Path) -> str:
    """Detects the format of a file without a known suffix, such as a download saved as `model`."""
    with path.open("rb") as file:
        head = file.read(8)
    if head[4:8] == b"TFL3":
        return "tflite"
    return "keras" if head.startswith(b"\x89HDF\r\n\x1a\n") else ""


def _in_folder(folder: Path, wanted_format: str) -> ModelSource:
    found = _candidates(folder)
    if wanted_format:
        found = [item for item in found if item.format == wanted_format] or found
    if not found:
        return _in_subfolder(folder, wanted_format)
    if len(found) > 1:
        raise InvalidModel(
            f"model: {folder} has more than one model in it "
            f"({', '.join(item.path.name for item in found)}); name one of them"
        )
    return found[0]


def _in_subfolder(folder: Path, wanted_format: str) -> ModelSource:
    """Finds the model one or more folders down.

    An archive often wraps everything in one folder, TF Serving uses a folder per version, and the
    Object Detection API exports `saved_model/` next to `checkpoint/`.
    """
    subfolders = [item for item in _visible(folder) if item.is_dir()]
    versions = [item for item in subfolders if item.name.isdigit()]
    if versions:
        return _in_folder(max(versions, key=lambda item: int(item.name)), wanted_format)
    if len(subfolders) == 1:
        return _in_folder(subfolders[0], wanted_format)
    holders = [item for item in subfolders if _candidates(item)]
    if len(holders) == 1:
        return _in_folder(holders[0], wanted_format)
    if holders:
        raise InvalidModel(
            f"model: {folder} has models in more than one folder "
            f"({', '.join(item.name for item in holders)}); name one of them"
        )
    archives = [item.name for item in _visible(folder) if item.name.lower().endswith(_ARCHIVES)]
    advice = f"; unpack {archives[0]} first" if archives else ""
    there = ", ".join(item.name for item in _visible(folder)[:_MOST_LISTED]) or "nothing"
    raise InvalidModel(
        f"model: {folder} has no model in it: no saved_model.pb, .tflite, .keras or .h5 file; "
        f"there is {there}{advice}"
    )


def _candidates(folder: Path) -> list[ModelSource]:
    if (folder / _SAVED_MODEL).is_file():
        named = folder.resolve()
        # TensorFlow Serving's layout: this folder is a version, its parent has the model's name.
        name = named.parent.name if named.name.isdigit() else named.name
        return [ModelSource(folder, "savedmodel", folder, _clean_name(name))]
    return [
        ModelSource(path, _SUFFIXES[path.suffix.lower()], folder, _clean_name(path.stem))
        for path in _visible(folder)
        if path.is_file() and path.suffix.lower() in _SUFFIXES
    ]


def _visible(folder: Path) -> list[Path]:
    """Lists a folder without hidden files and the folder that macOS adds to archives."""
    visible = (path for path in folder.iterdir() if not path.name.startswith("."))
    return sorted(path for path in visible if path.name != "__MACOSX")


def _clean_name(text: str) -> str:
    cleaned = "".join(
        char if (char.isalnum() and char.isascii()) or char in "._-" else "-" for char in text
    )
    return cleaned.strip("._-") or "model"


def digest(source: ModelSource) -> str:
    """Returns the hex SHA-256 of the model's file, or of a SavedModel's files in sorted order.

    For a folder, each file's content is preceded by its relative path and a zero byte.
    """
    hasher = hashlib.sha256()
    if source.path.is_file():
        _hash_file(hasher, source.path)
        return hasher.hexdigest()
    for path in sorted(path for path in source.path.rglob("*") if path.is_file()):
        hasher.update(path.relative_to(source.path).as_posix().encode() + b"\0")
        _hash_file(hasher, path)
    return hasher.hexdigest()


def _hash_file(hasher: "hashlib._Hash", path: Path) -> None:
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            hasher.update(chunk)
