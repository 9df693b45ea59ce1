"""Which pictures a command line means, and under which name each one's result is written.

Looks at names of files only; reading pictures and sending them happens elsewhere.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath

from inference_client.errors import UnreadablePicture

STDIN = "-"
SUFFIXES = frozenset({".jpg", ".jpeg", ".jpe", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff"})


@dataclass(frozen=True)
class Input:
    """One picture to send.

    Attributes:
        source: The file, or None for standard input.
        name: How it is called in output, as the user wrote it.
        relative: Its place below the output folder, without the ending that marks the result.
    """

    source: Path | None
    name: str
    relative: PurePath

    def target(self, suffix: str) -> PurePath:
        """Where its annotated picture goes: `street.jpg` gives `street_output.jpg`."""
        return self.relative.with_name(f"{self.relative.name}_output.{suffix}")


def find_inputs(paths: Sequence[str], output_dir: Path, suffix: str) -> list[Input]:
    """The pictures that `paths` name: files, folders (searched with their subfolders), `-`.

    What an earlier run wrote into the same place is not taken for a picture to send.

    Raises:
        UnreadablePicture: a path does not exist, or a folder has no pictures.
    """
    found: list[tuple[Path | None, str, PurePath]] = []
    for path in paths:
        if path == STDIN:
            found.append((None, "standard input", PurePath("stdin")))
        else:
            found.extend(_below(Path(path), output_dir))
    inputs = _with_distinct_targets(found)
    written = {_absolute(output_dir / item.target(suffix)) for item in inputs}
    return [
        item
        for item in inputs
        if item.source is None or len(inputs) == 1 or _absolute(item.source) not in written
    ]


def _below(path: Path, output_dir: Path) -> list[tuple[Path | None, str, PurePath]]:
    if not path.is_dir():
        if not path.exists():
            raise UnreadablePicture(f"cannot read the picture {path}: no such file or folder")
        return [(path, _printable(path), PurePath(path.name))]
    skipped = _absolute(output_dir) if _absolute(output_dir) != _absolute(path) else None
    files = sorted(
        file
        for file in path.rglob("*")
        if file.suffix.lower() in SUFFIXES
        and not any(part.startswith(".") for part in file.relative_to(path).parts)
        and not (skipped and _absolute(file).is_relative_to(skipped))
        and file.is_file()
    )
    if not files:
        endings = ", ".join(sorted(SUFFIXES))
        raise UnreadablePicture(f"there are no pictures in the folder {path} ({endings})")
    return [(file, _printable(file), PurePath(file.relative_to(path))) for file in files]


def _with_distinct_targets(
    found: Iterable[tuple[Path | None, str, PurePath]],
) -> list[Input]:
    """`a.jpg` and `a.png` side by side keep their endings, else one result replaces the other's."""
    entries = list(found)
    stems = Counter(relative.with_suffix("") for _, _, relative in entries)
    names: Counter[PurePath] = Counter()
    inputs = []
    for source, name, relative in entries:
        short = relative.with_suffix("") if stems[relative.with_suffix("")] == 1 else relative
        names[short] += 1
        if names[short] > 1:
            short = short.with_name(f"{short.name}_{names[short]}")
        inputs.append(Input(source, name, short))
    return inputs


def _printable(path: Path) -> str:
    """The name for output: a file name may hold bytes that are no UTF-8 and cannot be printed."""
    return os.fsencode(path).decode("utf-8", "replace")


def _absolute(path: Path) -> Path:
    return path.resolve()
