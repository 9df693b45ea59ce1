"""Measure the shipped files on held-out pictures and write their model cards.

Run `uv run python model-server/training/measure.py detector classifier`. Each figure is that of
the very .tflite file, run by LiteRT as the server runs it. Two held-out sets: pictures of the
training generator from seeds that training never saw, and the pages of `heldout`, which other code
draws in other styles. The training scripts call this when they are done; it needs no TensorFlow,
so anyone can check the cards.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np

from training import calibration, card, heldout, pool
from training.evaluate import Found, Report, Truth, confusion, report
from training.lite import Lite
from training.shapes import DETECTED
from training.sketches import CLASSIFIED

BUNDLED = Path(__file__).parents[1] / "model_server" / "bundled"
#: Held-out pictures of the training generator start at this seed; training begins at 0.
TEST_SEED = 20_000_000


def truths_of(rows: np.ndarray[Any, Any]) -> list[Truth]:
    """Return the truth of each scene of a pool."""
    known = [row[row[:, 4] >= 0] for row in rows]
    return [Truth(row[:, :4], row[:, 4].astype(np.int64)) for row in known]


def _described(name: str, found: list[Found], truths: list[Truth]) -> dict[str, Any]:
    figures: Report = report(found, truths, len(DETECTED))
    return {
        "set": name,
        "pictures": len(truths),
        "figures": int(sum(len(t.classes) for t in truths)),
        "map50": figures.mean_average_precision,
        "precision": figures.precision,
        "recall": figures.recall,
        "calibration_error": calibration.error(found, truths),
        "ap50": dict(zip(DETECTED, figures.average_precision, strict=True)),
    }


def detector(model: Path, count: int, cache: Path, workers: int) -> dict[str, Any]:
    """Return the figures of a detector file on `count` pictures of each held-out set."""
    lite = Lite(model)
    images, rows = pool.pool("scene", TEST_SEED, count, cache, workers)
    sets = [_described("training generator", [lite.detect(i) for i in images], truths_of(rows))]
    for style in heldout.STYLES:
        pages = [heldout.scene(style, seed) for seed in range(count // 3)]
        truths = [Truth(page.boxes, page.classes) for page in pages]
        sets.append(_described(style, [lite.detect(page.image) for page in pages], truths))
    return {"sets": sets, "milliseconds": lite.milliseconds()}


def _answered(lite: Lite, pictures: list[tuple[Any, int]], name: str) -> dict[str, Any]:
    true = np.array([label for _, label in pictures])
    chances = np.stack([lite.run(image)[0] for image, _ in pictures])
    said = chances.argmax(axis=1)
    among = (np.argsort(-chances, axis=1)[:, :5] == true[:, None]).any(axis=1)
    table = confusion(true, said, len(CLASSIFIED))
    each = np.diag(table) / np.maximum(table.sum(axis=1), 1)
    return {
        "set": name,
        "pictures": len(pictures),
        "top1": float((said == true).mean()),
        "top5": float(among.mean()),
        "of_class": {
            label: float(share) if total else None
            for label, share, total in zip(CLASSIFIED, each, table.sum(axis=1), strict=True)
        },
    }


def classifier(model: Path, count: int, cache: Path, workers: int) -> dict[str, Any]:
    """Return the figures of a classifier file on `count` pictures of each held-out set."""
    lite = Lite(model)
    images, labels = pool.pool("single", TEST_SEED, count, cache, workers)
    known = list(zip(images, labels[:, 0].astype(int).tolist(), strict=True))
    sets = [_answered(lite, known, "training generator")]
    for style in heldout.STYLES:
        pictures = [heldout.single(style, seed) for seed in range(count // 3)]
        sets.append(_answered(lite, pictures, style))
    return {"sets": sets, "milliseconds": lite.milliseconds()}


MEASURES = {"detector": detector, "classifier": classifier}


def write_card(which: str, folder: Path, count: int, cache: Path, workers: int) -> None:
    """Measure a model and write MODEL_CARD.md beside it; `recipe.json` there says how it learnt."""
    recipe = json.loads((folder / "recipe.json").read_text())
    model = folder / "model.tflite"
    figures = MEASURES[which](model, count, cache, workers)
    figures["bytes"] = model.stat().st_size
    figures["sha256"] = hashlib.sha256(model.read_bytes()).hexdigest()
    (folder / "MODEL_CARD.md").write_text(card.CARDS[which](recipe, figures))
    print(json.dumps(figures, indent=1))


def main() -> None:
    """Measure the named models."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("models", nargs="+", choices=list(MEASURES))
    parser.add_argument("--bundled", type=Path, default=BUNDLED, help="folder of both models")
    parser.add_argument("--held-out", type=int, default=1200, help="pictures in each set")
    parser.add_argument("--work", type=Path, default=Path(".training"), help="cache of pictures")
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    for which in options.models:
        folder = options.bundled / which
        cache = options.work / "pictures"
        write_card(which, folder, options.held_out, cache, options.threads)


if __name__ == "__main__":
    main()
