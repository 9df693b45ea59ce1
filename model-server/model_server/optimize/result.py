"""The folder that gets the optimized model: whole, or untouched.

Everything is written into a hidden folder inside it and moved when it is complete; the companion
file comes last, so that a folder with one is a whole model.
"""

import contextlib
import shutil
from collections.abc import Sequence
from pathlib import Path

from model_server.errors import InvalidSettings
from model_server.models.companion import COMPANION, Companion, read_companion

_WORK = ".optimize"
_IGNORED = {"lost+found", _WORK}


class ResultFolder:
    """One result's place.

    Attributes:
        folder: What the server will read.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._made = False

    def published(self) -> Companion | None:
        """The companion of the whole model that is there, if one is."""
        return read_companion(self.folder)

    def prepare(self) -> Path:
        """Makes the folder; gives the empty work folder in it.

        Raises:
            InvalidSettings: there are files in it that this command has not put there, or it
                cannot be written.
        """
        ours = _IGNORED | {COMPANION, *_names(self.published())}
        work = self.folder / _WORK
        try:
            self._made = not self.folder.exists()
            self.folder.mkdir(parents=True, exist_ok=True)
            others = sorted(item.name for item in self.folder.iterdir() if item.name not in ours)
            shutil.rmtree(work, ignore_errors=True)
            if not others:
                work.mkdir()
        except OSError as error:
            raise InvalidSettings(f"--output: {self.folder}: {error.strerror}") from error
        if others:
            raise InvalidSettings(
                f"--output: {self.folder} is not empty (it has {', '.join(others[:5])}); the "
                "result needs a folder of its own"
            )
        return work

    def publish(self, files: Sequence[Path], companion: Companion) -> None:
        """Moves the files of the work folder into their place, the companion last."""
        old = self.published()
        (self.folder / COMPANION).unlink(missing_ok=True)
        for name in _names(old):
            (self.folder / name).unlink(missing_ok=True)
        for file in files:
            file.rename(self.folder / file.name)
        written = self.folder / _WORK / COMPANION
        written.write_text(companion.text(), encoding="utf-8")
        written.rename(self.folder / COMPANION)
        shutil.rmtree(self.folder / _WORK)

    def give_up(self) -> None:
        """Leaves nothing half-made behind, nor an empty folder that was not there before."""
        shutil.rmtree(self.folder / _WORK, ignore_errors=True)
        if self._made:
            with contextlib.suppress(OSError):  # there is a result in it
                self.folder.rmdir()


def _names(companion: Companion | None) -> list[str]:
    """Its model's files, each a plain name: the note is on a volume that others may write."""
    entries = companion.record.get("files") if companion else None
    names = [str(name) for name in entries] if isinstance(entries, list) else []
    return [name for name in names if name == Path(name).name and name not in {"", ".", ".."}]
