"""This project's server, whose models infer once and then always give that answer.

What a request costs besides inference is hard to see beside it. The arguments are the server's own.
"""

from __future__ import annotations

import sys

from model_server.cli import main
from model_server.models.base import Array, Tensors
from model_server.models.tflite import TfliteModel

_infer = TfliteModel.run


def _remembered(self: TfliteModel, inputs: Tensors) -> dict[str, Array]:
    known: dict[str, Array] | None = getattr(self, "remembered", None)
    if known is None:
        known = _infer(self, inputs)
        # The warm-up's noise shows nothing; an answer without detections would cost less.
        if max(float(value.max()) for value in known.values()) > 0:
            self.remembered = known  # type: ignore[attr-defined]
    return known


def replace_inference() -> None:
    """From now on, in this process and those that it forks."""
    TfliteModel.run = _remembered  # type: ignore[method-assign]


if __name__ == "__main__":
    replace_inference()
    sys.exit(main())
