"""Which model files there are and where: made on first use, kept in the cache.

The scripts that make them need TensorFlow, so they run in an environment of their own.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench import installs, paths
from bench.assets import pictures


class NotMade(Exception):
    """A model could not be made; the message is the script's own last words."""


@dataclass(frozen=True)
class ModelFiles:
    """One model in the forms that are served.

    Attributes:
        name: As the table shows it.
        kind: ``detector`` or ``classifier``.
        recommended: What this software recommends and every peer gets: a tflite file.
        labels: One label per line, by class number.
        articles: What the article's own way of serving gets.
        note: Where it is from, for the reader of the table.
    """

    name: str
    kind: str
    recommended: Path
    labels: Path
    articles: Path
    note: str


def detector() -> ModelFiles:
    """The COCO SSD detector of the shared data, or this project's bundled one."""
    model = paths.shared("coco_ssd_mobilenet_v1_quant.tflite")
    labelmap = paths.shared("coco_labelmap.txt")
    if model is None or labelmap is None:
        bundled = paths.BUNDLED / "detector"
        return ModelFiles(
            "detector",
            "detector",
            bundled / "model.tflite",
            bundled / "labels.txt",
            bundled / "absent",
            "the bundled detector, because the shared data is absent",
        )
    labels = paths.cache("models", "coco_labels.txt")
    # The file's first line stands for the background, which the model does not count.
    lines = labelmap.read_text(encoding="utf-8").splitlines()[1:]
    labels.write_text("\n".join(lines) + "\n", encoding="utf-8")
    saved = _made("ssd_savedmodel", "coco_ssd", [str(model)])
    note = "SSD MobileNet v1, COCO, int8 (its SavedModel is translated from the same file)"
    return ModelFiles("detector", "detector", model, labels, saved, note)


def resnet50() -> ModelFiles:
    """ResNet50-224 with seeded random weights in every form; see ``assets.resnet50``."""
    sources = [str(picture.path) for picture in pictures.prepare("0.3MP")]
    folder = _made("resnet50", "resnet50", sources)
    return ModelFiles(
        "resnet50",
        "classifier",
        folder / "int8.tflite",
        folder / "labels.txt",
        folder / "resnet50.keras",
        "ResNet50-224, seeded random weights, int8 (the articles' way: its .keras)",
    )


def files(model: str) -> ModelFiles:
    """The files of ``detector`` or ``resnet50``."""
    return detector() if model == "detector" else resnet50()


def _made(script: str, name: str, arguments: Sequence[str]) -> Path:
    """The folder that a script of this package fills, made again when the script changes."""
    source = Path(__file__).with_name(f"{script}.py")
    digest = hashlib.sha256(source.read_bytes()).hexdigest()[:12]
    folder = paths.cache("models", f"{name}-{digest}")
    if folder.exists():
        return folder
    partial = folder.with_suffix(".partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    order = [str(partial), *arguments]
    print(f"Making {name} (once; some minutes)", file=sys.stderr, flush=True)
    answer = subprocess.run(
        [str(installs.python("tensorflow")), "-m", f"bench.assets.{script}", *order],
        cwd=paths.HERE.parent,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONPATH": str(paths.HERE.parent)},
        capture_output=True,
        text=True,
        check=False,
    )
    if answer.returncode:
        raise NotMade(f"{name}: " + " ".join(answer.stderr.strip().splitlines()[-3:]))
    partial.rename(folder)
    return folder
