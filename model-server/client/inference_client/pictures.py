"""Finds the pictures that a command line names, and the file name of each result.

Looks at file names only; does not read pictures.
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
        name: Its name in output, as the user wrote it.
        relative: Its path below the output folder, without the suffix of the result.
    """

    source: Path | None
    name: str
    relative: PurePath

    def target(self, suffix: str) -> PurePath:
        """Path of its annotated picture: `street_output.jpg` for `street.jpg`."""
        return self.relative.with_name(f"{self.relative.name}_output.{suffix}")


def find_inputs(paths: Sequence[str], output_dir: Path, suffix: str) -> list[Input]:
    """The pictures that `paths` name: files, folders (searched recursively), or `-`.

    Results of an earlier run are skipped.

    Raises:
        UnreadablePicture: a path does not exist, or a folder contains no pictures.
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
        raise UnreadablePicture(f"the folder {path} contains no pictures ({endings})")
    return [(file, _printable(file), PurePath(file.relative_to(path))) for file in files]


def _with_distinct_targets(
    found: Iterable[tuple[Path | None, str, PurePath]],
) -> list[Input]:
    """Keeps the suffixes of `a.jpg` and `a.png` in one folder, so their results differ."""
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
    """The name for output: file names may contain bytes that are not UTF-8."""
    return os.fsencode(path).decode("utf-8", "replace")


def _absolute(path: Path) -> Path:
    return path.resolve()
