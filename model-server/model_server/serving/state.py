"""What every request needs of its worker process; HTTP and gRPC share one `State`.

Knows no web framework and decides nothing.
"""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from model_server.request.budgets import BodyBudget
from model_server.request.context import RequestContext, Timeline, request_id
from model_server.request.gate import Gate
from model_server.request.metrics import Metrics
from model_server.request.recorder import Recorder
from model_server.serving.registry import Registry
from model_server.settings import Settings


@dataclass(frozen=True)
class State:
    """Settings, models and metrics of one worker, and what admits and records its requests."""

    settings: Settings
    registry: Registry
    metrics: Metrics
    recorder: Recorder
    gate: Gate = field(default_factory=Gate)
    bodies: BodyBudget = field(default_factory=BodyBudget)

    def metrics_page(self) -> bytes:
        """Prometheus's text, with what the gate is at."""
        self.metrics.in_progress.set(self.gate.inside)
        self.metrics.queued.set(self.gate.waiting)
        return self.metrics.page()

    def new_context(
        self, sent_id: object, client_gone: Callable[[], bool] | None, seconds: float = math.inf
    ) -> RequestContext:
        """The context of a request that begins now.

        Args:
            sent_id: Request ID that the client sent; replaced unless it is a safe one.
            client_gone: Tells whether the client has hung up; None if nobody can tell.
            seconds: How long the client waits; the server's own limit holds besides.
        """
        context = RequestContext(
            request_id=request_id(sent_id),
            deadline=time.monotonic() + min(self.settings.timeout_seconds, seconds),
            timeline=Timeline() if self.recorder.traces else None,
        )
        if client_gone is not None:
            context.client_gone = client_gone
        return context
