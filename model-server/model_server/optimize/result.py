"""The output folder of the optimized model, which gets a complete model or stays untouched.

All files are written to a hidden subfolder and moved once they are complete. The companion file is
moved last, so a folder that contains it holds a complete model.
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
    """The folder of one result.

    Attributes:
        folder: The folder that the server will read.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._made = False

    def published(self) -> Companion | None:
        """Returns the companion of the complete model in the folder; None if there is none."""
        return read_companion(self.folder)

    def prepare(self) -> Path:
        """Creates the folder and returns an empty work folder inside it.

        Raises:
            InvalidSettings: if the folder has files that this command did not create, or is not
                writable.
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
        """Moves the files from the work folder into place, the companion last."""
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
        """Removes unfinished files, and the folder if this run created it and it is empty."""
        shutil.rmtree(self.folder / _WORK, ignore_errors=True)
        if self._made:
            with contextlib.suppress(OSError):  # not empty: it has a result
                self.folder.rmdir()


def _names(companion: Companion | None) -> list[str]:
    """Returns the model's files; drops anything but plain names, as others may write the volume."""
    entries = companion.record.get("files") if companion else None
    names = [str(name) for name in entries] if isinstance(entries, list) else []
    return [name for name in names if name == Path(name).name and name not in {"", ".", ".."}]
