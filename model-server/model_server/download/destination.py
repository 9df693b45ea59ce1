"""Publishes the model's folder only when it is complete and checked.

The model is assembled in a hidden folder inside its own folder, on the same volume so that moving
it is a rename, and moved once it is complete. The marker `.model.json` is written last and means
that the model is complete. After a crash, the next run removes half-published files but keeps
partial downloads so that it can resume them.
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
# A fresh volume may contain these.
_IGNORED = frozenset({"lost+found", MARKER, WORK})


class Destination:
    """The folder of one model.

    Attributes:
        folder: The folder that the server reads.
        parts: Folder for partial downloads.
        content: Folder where the model is assembled; the caller creates it.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._work = folder / WORK
        self.parts = self._work / _PARTS
        self.content = self._work / _CONTENT

    def published(self) -> Mapping[str, Any]:
        """Returns the published model's marker, or an empty mapping if there is none."""
        marker = _read_json(self.folder / MARKER)
        entries = marker.get("entries")
        if not isinstance(entries, list) or not entries:
            return {}
        return marker if all((self.folder / str(name)).exists() for name in entries) else {}

    def prepare(self) -> None:
        """Creates the model's and the work folder and removes what a crash left half-published.

        Raises:
            DownloadFailed: if the folder contains files that this program did not create.
            NoSpace: if the volume is full.
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
        """Moves the content into place and writes the marker.

        Args:
            record: Fields to store in the marker in addition to the list of entries.

        Raises:
            NoSpace: if the volume is full.
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
    """Returns a note's entries that are plain names; others may write to the note's volume."""
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
