"""What every request needs of one worker process: HTTP and gRPC share it.

Knows no web framework and decides nothing.
"""

from dataclasses import dataclass, field

from model_server.request.budgets import BodyBudget
from model_server.request.gate import Gate
from model_server.request.metrics import Metrics
from model_server.request.tracing import Spans
from model_server.serving.registry import Registry
from model_server.settings import Settings


@dataclass(frozen=True)
class State:
    """Settings, models, metrics and the gate of one application; who is told of requests."""

    settings: Settings
    registry: Registry
    metrics: Metrics
    gate: Gate = field(default_factory=Gate)
    bodies: BodyBudget = field(default_factory=BodyBudget)
    spans: Spans | None = None
