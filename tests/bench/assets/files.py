"""Which model files there are and where: made on first use, kept in the cache.

The scripts that make them need TensorFlow, so they run in an environment of their own.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
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
        articles: Gives what the article's own way of serving gets; made when asked for, since
            it needs TensorFlow.
        note: Where it is from, for the reader of the table.
    """

    name: str
    kind: str
    recommended: Path
    labels: Path
    articles: Callable[[], Path]
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
            lambda: _absent(bundled),
            "the bundled detector, because the shared data is absent",
        )
    labels = paths.cache("models", "coco_labels.txt")
    # The file's first line stands for the background, which the model does not count.
    lines = labelmap.read_text(encoding="utf-8").splitlines()[1:]
    labels.write_text("\n".join(lines) + "\n", encoding="utf-8")
    note = "SSD MobileNet v1, COCO, int8 (its SavedModel is translated from the same file)"
    return ModelFiles(
        "detector",
        "detector",
        model,
        labels,
        lambda: _made("ssd_savedmodel", "coco_ssd", [str(model)]),
        note,
    )


def _absent(bundled: Path) -> Path:
    raise NotMade(f"the detector of {bundled} has no TensorFlow form: add the shared data")


def resnet50() -> ModelFiles:
    """ResNet50-224 with seeded random weights in every form; see ``assets.resnet50``."""
    sources = [str(picture.path) for picture in pictures.prepare("0.3MP")]
    folder = _made("resnet50", "resnet50", sources)
    return ModelFiles(
        "resnet50",
        "classifier",
        folder / "int8.tflite",
        folder / "labels.txt",
        lambda: folder / "resnet50.keras",
        "ResNet50-224, seeded random weights, int8 (the articles' way: its .keras)",
    )


def forms(model: str) -> dict[str, Callable[[], Path]]:
    """Every form of ``detector`` or ``resnet50`` by name, each made when it is asked for."""
    if model == "detector":
        return {"int8": lambda: detector().recommended, "savedmodel": detector().articles}
    folder = resnet50().recommended.parent
    return {
        "savedmodel": lambda: folder / "savedmodel",
        "keras": lambda: folder / "resnet50.keras",
        "fp32": lambda: folder / "fp32.tflite",
        "int8": lambda: folder / "int8.tflite",
        "onnx": lambda: _onnx(folder),
        "optimized": lambda: _optimized(folder),
    }


def _onnx(folder: Path) -> Path:
    """The SavedModel as ONNX, by tf2onnx."""
    target = folder / "resnet50.onnx"
    if not target.exists():
        partial = folder / "partial.onnx"
        order = ["--saved-model", str(folder / "savedmodel"), "--output", str(partial)]
        _script("onnx-export", ["tf2onnx.convert", *order, "--opset", "17"])
        partial.rename(target)
    return target


def _optimized(folder: Path) -> Path:
    """The SavedModel as `model-server optimize` converts it; the file that a user would serve."""
    sources = [*(paths.SERVER / "optimize").glob("*.py"), *(paths.SERVER / "models").glob("*.py")]
    content = b"".join(source.read_bytes() for source in sorted(sources))
    target = folder / f"optimized-{hashlib.sha256(content).hexdigest()[:12]}"
    if not target.exists():
        partial = folder / "optimized.partial"
        shutil.rmtree(partial, ignore_errors=True)
        photographs = paths.folder("photographs")
        for size in pictures.SIZES:
            for picture in pictures.prepare(size):
                link = photographs / picture.path.name
                link.unlink(missing_ok=True)
                link.symlink_to(picture.path)
        _run(
            [
                *(str(Path(sys.executable).parent / "model-server"), "optimize"),
                *("--model", str(folder / "savedmodel"), "--output", str(partial)),
                *("--preprocessing", "caffe", "--labels", str(folder / "labels.txt")),
                *("--pictures", str(photographs)),
            ]
        )
        partial.rename(target)
    (model,) = target.glob("*.tflite")
    return model


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
    _script("tensorflow", [f"bench.assets.{script}", *order])
    partial.rename(folder)
    return folder


def _script(environment: str, order: Sequence[str]) -> None:
    """Run ``python -m`` with these arguments in an environment.

    Raises:
        NotMade: It failed.
    """
    _run([str(installs.python(environment)), "-m", *order])


def _run(command: Sequence[str]) -> None:
    answer = subprocess.run(
        command,
        cwd=paths.HERE.parent,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONPATH": str(paths.HERE.parent)},
        capture_output=True,
        text=True,
        check=False,
    )
    if answer.returncode:
        named = " ".join(Path(word).name for word in command[:3])
        raise NotMade(f"{named}: " + " ".join(answer.stderr.strip().splitlines()[-3:]))
