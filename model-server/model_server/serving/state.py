"""State of a worker process, shared by HTTP and gRPC requests."""

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
    """Settings, models, metrics, admission control and recorder of a worker."""

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
        """Creates the context of a request that starts now.

        Args:
            sent_id: Request ID sent by the client; replaced if it is unsafe.
            client_gone: Returns whether the client has disconnected; None if unknown.
            seconds: The client's own time limit; the server's limit applies as well.
        """
        context = RequestContext(
            request_id=request_id(sent_id),
            deadline=time.monotonic() + min(self.settings.timeout_seconds, seconds),
            timeline=Timeline() if self.recorder.traces else None,
        )
        if client_gone is not None:
            context.client_gone = client_gone
        return context
