"""Requests at the same time are computed together; a lone one never waits."""

import threading
import time
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from model_server.errors import InferenceFailed
from model_server.request.context import RequestContext
from model_server.vision.batching import Batcher, BatchLimits
from support.tiny_models import BrightBoxDetector, MeanColourClassifier

SIDE = 8


def image(channel: int, side: int = SIDE) -> dict[str, NDArray[Any]]:
    pixels = np.zeros((1, side, side, 3), np.float32)
    pixels[..., channel] = 1.0
    return {"image": pixels}


def run_together(batcher: Batcher, inputs: list[dict[str, NDArray[Any]]]) -> list[Any]:
    """Runs each input in a thread of its own, all released at once."""
    results: list[Any] = [None] * len(inputs)
    barrier = threading.Barrier(len(inputs))

    def work(index: int) -> None:
        context = RequestContext()
        barrier.wait()
        try:
            outputs = batcher.run(inputs[index], context)
            results[index] = (int(outputs["logits"].argmax()), context.batch_size)
        except InferenceFailed as error:
            results[index] = error

    threads = [threading.Thread(target=work, args=(index,)) for index in range(len(inputs))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    return results


def test_everybody_gets_their_own_answer_and_batches_stay_in_bounds() -> None:
    model = MeanColourClassifier(seconds=0.02)
    batcher = Batcher(model, BatchLimits(size=4, latency_seconds=0.01, expected=lambda: 1))
    results = run_together(batcher, [image(index % 3) for index in range(24)])
    assert [found for found, _ in results] == [index % 3 for index in range(24)]
    assert sum(model.batches) == 24
    assert max(model.batches) <= 4
    assert len(model.batches) < 24
    assert sorted(size for _, size in results) == sorted(
        size for size in model.batches for _ in range(size)
    )


def test_a_lone_request_does_not_wait() -> None:
    model = MeanColourClassifier()
    batcher = Batcher(model, BatchLimits(size=8, latency_seconds=30, expected=lambda: 0))
    began = time.monotonic()
    batcher.run(image(0), RequestContext())
    assert time.monotonic() - began < 15
    assert model.batches == [1]


def test_inputs_of_different_shapes_are_not_mixed() -> None:
    model = MeanColourClassifier(seconds=0.01)
    batcher = Batcher(model, BatchLimits(size=8, latency_seconds=0.05, expected=lambda: 1))
    results = run_together(batcher, [image(index % 3, 8 + index % 2) for index in range(8)])
    assert [found for found, _ in results] == [index % 3 for index in range(8)]


def test_an_error_reaches_every_request_of_the_batch_and_the_next_works() -> None:
    class Broken(MeanColourClassifier):
        broken = True

        def run(self, inputs: Any) -> dict[str, NDArray[Any]]:
            if self.broken:
                raise InferenceFailed("broken")
            return super().run(inputs)

    model = Broken()
    batcher = Batcher(model, BatchLimits(size=4, latency_seconds=0.05, expected=lambda: 1))
    results = run_together(batcher, [image(0)] * 6)
    assert all(isinstance(result, InferenceFailed) for result in results)
    model.broken = False
    assert [found for found, _ in run_together(batcher, [image(1)] * 6)] == [1] * 6


@pytest.mark.parametrize(("model", "size"), [(MeanColourClassifier(), 1), (BrightBoxDetector(), 8)])
def test_batching_is_off_without_a_reason(model: Any, size: int) -> None:
    assert not Batcher(model, BatchLimits(size=size)).enabled
