"""Train the bundled classifier, export it, measure it and write its model card.

Run `uv run python model-server/training/train_classifier.py --help`.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from training import classifier, export, learning, measure, pool
from training.blocks import keras
from training.draw import SINGLE_SIDE
from training.sketches import CLASSIFIED

if TYPE_CHECKING:
    from collections.abc import Iterator

INPUT = (1, SINGLE_SIDE, SINGLE_SIDE, 3)


def arguments() -> argparse.Namespace:
    """Return the parsed command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--pictures", type=int, default=24000, help="drawn to learn from")
    parser.add_argument("--epochs", type=int, default=8, help="passes over them")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--rate", type=float, default=3e-3, help="highest learning rate")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--held-out", type=int, default=2000, help="pictures in each held-out set")
    parser.add_argument("--work", type=Path, default=Path(".training"), help="cache, checkpoints")
    parser.add_argument(
        "--out", type=Path, default=measure.BUNDLED / "classifier", help="where model and card go"
    )
    return parser.parse_args()


def main() -> None:
    """Draw, teach, export, measure; every step says what it does."""
    options = arguments()
    learning.limit_threads(options.threads)
    cache = options.work / "pictures"
    images, truths = pool.pool("single", 0, options.pictures, cache, options.threads)
    plan = learning.Plan(options.epochs, options.batch, options.rate, options.seed)
    keras.utils.set_random_seed(plan.seed)
    model = classifier.network()
    steps = len(images) // plan.batch

    def batches(epoch: int) -> Iterator[learning.Batch]:
        rng = np.random.default_rng([plan.seed, epoch])
        order = rng.permutation(len(images))
        for at in range(0, steps * plan.batch, plan.batch):
            chosen = order[at : at + plan.batch]
            yield pool.varied_singles(images[chosen], truths[chosen], rng)

    learning.learn(model, classifier.loss, batches, steps, plan, options.work / "classifier")
    served = classifier.Served(model)
    export.write(served.answer, INPUT, options.out / "model.tflite")
    (options.out / "labels.txt").write_text("".join(f"{name}\n" for name in CLASSIFIED))
    recipe = {
        "pictures drawn": options.pictures,
        "passes over them": options.epochs,
        "pictures per step": options.batch,
        "highest learning rate": options.rate,
        "seed": options.seed,
        "variations": "mirrored, channels in another order, negative",
    }
    (options.out / "recipe.json").write_text(json.dumps(recipe, indent=1) + "\n")
    measure.write_card("classifier", options.out, options.held_out, cache, options.threads)


if __name__ == "__main__":
    main()
