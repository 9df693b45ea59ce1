"""Batches concurrent requests into one inference if the model accepts any batch size.

A lone request never waits: a thread that finds a free model instance runs at once, together with
everything queued by then. It waits only while other requests are known to be on their way
(admitted but not yet queued), and never longer than the configured latency. Independent of HTTP.
"""

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from model_server.models.base import Array, Model, Tensors
from model_server.request.context import RequestContext

_POLL_SECONDS = 0.0005


def _nobody() -> int:
    return 0


@dataclass
class BatchLimits:
    """Limits on how batches are formed.

    Attributes:
        size: Maximum number of requests in a batch; 1 disables batching.
        latency_seconds: Maximum time to wait for requests that are on their way.
        instances: Number of batches computed at the same time.
        expected: Returns how many requests are being prepared and will arrive next.
    """

    size: int = 1
    latency_seconds: float = 0.0
    instances: int = 1
    expected: Callable[[], int] = _nobody


@dataclass(eq=False)
class _Item:
    inputs: Tensors
    context: RequestContext
    leads: bool = False
    outputs: dict[str, Array] | None = None
    error: Exception | None = None
    turn: threading.Event = field(default_factory=threading.Event)


class Batcher:
    """Runs one model on behalf of many threads."""

    def __init__(self, model: Model, limits: BatchLimits) -> None:
        self._model = model
        self.limits = limits
        self._lock = threading.Lock()
        self._waiting: deque[_Item] = deque()
        self._running = 0
        any_size = all(spec.shape[:1] == (-1,) for spec in model.info.inputs)
        self.enabled = limits.size > 1 and any_size

    def run(self, inputs: Tensors, context: RequestContext) -> dict[str, Array]:
        """Runs inference on a batch of one, possibly merged with requests from other threads.

        Raises:
            InferenceFailed: if the model fails; every request in the batch gets the same error.
        """
        if not self.enabled:
            return self._model.run(inputs)
        item = _Item(inputs, context)
        with self._lock:
            self._waiting.append(item)
            if self._running < self.limits.instances:
                self._running += 1
                item.leads = True
        if not item.leads:
            item.turn.wait()
        if item.leads:
            self._lead(item)
        if item.error is not None:
            raise item.error
        if item.outputs is None:
            raise RuntimeError("a batch ended without an answer for one of its requests")
        return item.outputs

    def _lead(self, leader: _Item) -> None:
        """Computes a batch that includes the leader's own request, then hands over the lead."""
        try:
            self._wait_for_more()
            batch = self._take(leader)
            self._compute(batch)
        finally:
            with self._lock:
                if self._waiting:
                    successor = self._waiting[0]
                    successor.leads = True
                    successor.turn.set()
                else:
                    self._running -= 1

    def _wait_for_more(self) -> None:
        until = time.monotonic() + self.limits.latency_seconds
        while time.monotonic() < until:
            missing = self.limits.size - len(self._waiting)
            if missing <= 0 or self.limits.expected() == 0:
                return
            time.sleep(_POLL_SECONDS)

    def _take(self, leader: _Item) -> list[_Item]:
        """Dequeues the leader and the waiting requests whose inputs have the same shapes."""
        wanted = _shapes(leader.inputs)
        with self._lock:
            self._waiting.remove(leader)
            others = [
                item for item in self._waiting if not item.leads and _shapes(item.inputs) == wanted
            ][: self.limits.size - 1]
            for item in others:
                self._waiting.remove(item)
        return [leader, *others]

    def _compute(self, batch: list[_Item]) -> None:
        try:
            outputs = self._model.run(
                {
                    name: np.concatenate([item.inputs[name] for item in batch])
                    for name in batch[0].inputs
                }
            )
            for index, item in enumerate(batch):
                item.context.batch_size = len(batch)
                item.outputs = {
                    name: value[index : index + 1] if len(value) == len(batch) else value
                    for name, value in outputs.items()
                }
        except Exception as error:  # noqa: BLE001 - passed to every thread in the batch
            for item in batch:
                item.error = error
        for item in batch[1:]:
            item.turn.set()


def _shapes(inputs: Tensors) -> tuple[tuple[str, tuple[int, ...]], ...]:
    return tuple((name, value.shape) for name, value in inputs.items())
