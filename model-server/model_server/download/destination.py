"""The model's folder: complete and checked, or not there at all.

Everything is put together in a hidden folder inside it (the same volume, so that moving is a
rename) and moved when it is whole. The marker `.model.json` is written last: with it, the model is
there. What a crash leaves behind is cleared away by the next run, and the partial files of a
download are kept for it to go on with.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from model_server.download.errors import DownloadFailed
from model_server.download.fetch import no_space

MARKER = ".model.json"
WORK = ".download"
_PARTS = "parts"
_CONTENT = "content"
_PUBLISHING = "publishing.json"
# What a fresh volume may have in it.
_IGNORED = frozenset({"lost+found", MARKER, WORK})


class Destination:
    """One model's folder.

    Attributes:
        folder: What the server reads.
        parts: Where partial files are kept.
        content: Where the model is put together; to be created.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._work = folder / WORK
        self.parts = self._work / _PARTS
        self.content = self._work / _CONTENT

    def published(self) -> Mapping[str, Any]:
        """The marker of the model that is there; empty if none is."""
        marker = _read_json(self.folder / MARKER)
        entries = marker.get("entries")
        if not isinstance(entries, list) or not entries:
            return {}
        return marker if all((self.folder / str(name)).exists() for name in entries) else {}

    def prepare(self) -> None:
        """Creates the folder and its work place; clears away what a crash has left half-done.

        Raises:
            DownloadFailed: there are files in it that this program has not put there.
            NoSpace: the volume is full.
        """
        with no_space(self.folder / WORK):
            self.folder.mkdir(parents=True, exist_ok=True)
            self.parts.mkdir(parents=True, exist_ok=True)
            _remove(self.content)
            for name in _names(_read_json(self._work / _PUBLISHING)):
                _remove(self.folder / name)
            (self._work / _PUBLISHING).unlink(missing_ok=True)
        ours = {*_IGNORED, *_names(_read_json(self.folder / MARKER))}
        others = sorted(path.name for path in self.folder.iterdir() if path.name not in ours)
        if others:
            raise DownloadFailed(
                f"the folder {self.folder} is not empty (it has {', '.join(others[:5])}); a model "
                "is downloaded into a folder of its own"
            )

    def publish(self, record: Mapping[str, Any]) -> None:
        """Moves the content into its place and writes the marker.

        Args:
            record: What the marker says besides.

        Raises:
            NoSpace: the volume is full.
        """
        entries = sorted(path.name for path in self.content.iterdir())
        with no_space(self.folder / MARKER):
            for name in _names(_read_json(self.folder / MARKER)):
                _remove(self.folder / name)
            (self.folder / MARKER).unlink(missing_ok=True)
            (self._work / _PUBLISHING).write_text(json.dumps({"entries": entries}))
            for name in entries:
                (self.content / name).rename(self.folder / name)
            marker = self._work / MARKER
            marker.write_text(json.dumps({**record, "entries": entries}, indent=2) + "\n")
            marker.rename(self.folder / MARKER)
            shutil.rmtree(self._work)


def _names(document: Mapping[str, Any]) -> list[str]:
    """The entries of a note, each a plain name: the note is on a volume that others may write."""
    entries = document.get("entries")
    names = [str(name) for name in entries] if isinstance(entries, list) else []
    return [name for name in names if name == Path(name).name and name not in {"", ".", ".."}]


def _read_json(path: Path) -> Mapping[str, Any]:
    try:
        document = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return document if isinstance(document, dict) else {}


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
