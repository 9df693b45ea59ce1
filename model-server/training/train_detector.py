"""Train the bundled detector, export it, measure it and write its model card.

Run `uv run python model-server/training/train_detector.py --help`.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import numpy.typing as npt

from training import calibration, detector, export, learning, measure, pool, shipped
from training.blocks import keras
from training.draw import SCENE_SIDE
from training.lite import Lite
from training.shapes import DETECTED

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Training pictures have the seeds from 0 on, measured ones those from `measure.TEST_SEED` on.
CALIBRATION_SEED = 10_000_000
INPUT = (1, SCENE_SIDE, SCENE_SIDE, 3)


def arguments() -> argparse.Namespace:
    """Return the parsed command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--scenes", type=int, default=24000, help="pictures drawn to learn from")
    parser.add_argument("--small-epochs", type=int, default=5, help="passes at 192 pixels")
    parser.add_argument("--epochs", type=int, default=3, help="passes at full size, after those")
    parser.add_argument(
        "--start-from", type=Path, help="a shipped model.tflite to go on from (default: chance)"
    )
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--rate", type=float, default=1.5e-3, help="highest learning rate")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--held-out", type=int, default=1200, help="pictures in each held-out set")
    parser.add_argument("--work", type=Path, default=Path(".training"), help="cache, checkpoints")
    parser.add_argument(
        "--out", type=Path, default=measure.BUNDLED / "detector", help="where model and card go"
    )
    return parser.parse_args()


def squeezed(images: npt.NDArray[np.uint8], side: int) -> npt.NDArray[np.uint8]:
    """Return pictures resized to side x side."""
    if images.shape[1] == side:
        return images
    small = [cv2.resize(image, (side, side), interpolation=cv2.INTER_AREA) for image in images]
    return np.stack(small).astype(np.uint8)


def taught(options: argparse.Namespace) -> Any:
    """Return a trained network: first on small pictures, at half the cost, then at full size."""
    cache = options.work / "pictures"
    images, truths = pool.pool("scene", 0, options.scenes, cache, options.threads)
    keras.utils.set_random_seed(options.seed)
    steps = len(images) // options.batch
    weights = None
    stages = ((192, options.small_epochs, 1.0), (SCENE_SIDE, options.epochs, 0.5))
    for side, epochs, share in stages:
        if not epochs:
            continue
        model = detector.network(side)
        if weights is not None:
            model.set_weights(weights)
        elif options.start_from is not None:
            shipped.load(model, options.start_from, squeezed(images[:64], side))
        plan = learning.Plan(epochs, options.batch, options.rate * share, options.seed)

        def batches(epoch: int, side: int = side) -> Iterator[learning.Batch]:
            rng = np.random.default_rng([options.seed, side, epoch])
            order = rng.permutation(len(images))
            for at in range(0, steps * options.batch, options.batch):
                chosen = order[at : at + options.batch]
                varied, rows = pool.varied_scenes(images[chosen], truths[chosen], rng)
                yield squeezed(varied, side), rows

        folder = options.work / f"detector-{side}"
        learning.learn(model, _loss, batches, steps, plan, folder)
        weights = model.get_weights()
    return model


def _loss(outputs: tuple[Any, Any], truth: Any) -> Any:
    return detector.loss(*outputs, truth)


def honest(model: Any, options: argparse.Namespace) -> detector.Served:
    """Return the graph to serve, its scores calibrated on pictures that training never saw."""
    cache = options.work / "pictures"
    images, rows = pool.pool("scene", CALIBRATION_SEED, 600, cache, options.threads)
    draft = options.work / "draft.tflite"
    export.write(detector.Served(model, 1.0, 0.0).answer, INPUT, draft)
    lite = Lite(draft)
    found = [lite.detect(image) for image in images]
    return detector.Served(model, *calibration.fit(found, measure.truths_of(rows)))


def _earlier(start: Path) -> dict[str, Any]:
    """Return what the recipe says of the file that training went on from."""
    digest = hashlib.sha256(start.read_bytes()).hexdigest()
    theirs = json.loads((start.parent / "recipe.json").read_text())
    kept = {f"before: {key}": value for key, value in theirs.items() if key != "calibration"}
    return {"went on from": f"the file with SHA-256 {digest}", **kept}


def main() -> None:
    """Draw, teach, calibrate, export, measure; every step says what it does."""
    options = arguments()
    learning.limit_threads(options.threads)
    served = honest(taught(options), options)
    export.write(served.answer, INPUT, options.out / "model.tflite")
    (options.out / "labels.txt").write_text("".join(f"{name}\n" for name in DETECTED))
    recipe = {
        "pictures drawn": options.scenes,
        "passes at 192 pixels": options.small_epochs,
        "passes at 256 pixels": options.epochs,
        "pictures per step": options.batch,
        "highest learning rate": options.rate,
        "seed": options.seed,
        "variations": "mirrored, transposed, channels in another order, negative",
        "calibration": f"logits x {served.sharpness:.3f} {served.shift:+.3f}, "
        "fitted on 600 pictures apart from all others",
    }
    if options.start_from is not None:
        recipe |= _earlier(options.start_from)
    (options.out / "recipe.json").write_text(json.dumps(recipe, indent=1) + "\n")
    cache = options.work / "pictures"
    measure.write_card("detector", options.out, options.held_out, cache, options.threads)


if __name__ == "__main__":
    main()
