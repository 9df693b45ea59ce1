"""Prometheus metrics and the page that exposes them.

Several worker processes share their counts through files. The environment variable that enables
this must be set before this module is imported (see `process.server`).
"""

import os
from collections.abc import Mapping

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
    multiprocess,
)

MULTIPROCESS_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
CONTENT_TYPE = CONTENT_TYPE_LATEST
_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


class Metrics:
    """All metrics of one process."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        # Cached: looking up a child by its labels takes as long as counting.
        self._stages: dict[tuple[str, str], Histogram] = {}
        self.requests = Counter(
            "model_server_requests",
            "Requests answered, by endpoint, model and status.",
            ["endpoint", "model", "status"],
            registry=self._registry,
        )
        self.errors = Counter(
            "model_server_errors",
            "Requests answered with an error, by error code.",
            ["endpoint", "code"],
            registry=self._registry,
        )
        self.request_seconds = Histogram(
            "model_server_request_seconds",
            "Time from the request headers to the response, in seconds, by endpoint.",
            ["endpoint"],
            buckets=_SECONDS,
            registry=self._registry,
        )
        self.stage_seconds = Histogram(
            "model_server_stage_seconds",
            "Time spent in each stage of a request, in seconds: queue, decode, preprocess, "
            "inference, postprocess, draw, encode.",
            ["stage", "model"],
            buckets=_SECONDS,
            registry=self._registry,
        )
        self.batch_size = Histogram(
            "model_server_batch_size",
            "Number of requests combined into one inference.",
            ["model"],
            buckets=(1, 2, 4, 8, 16, 32, 64),
            registry=self._registry,
        )
        self.in_progress = Gauge(
            "model_server_requests_in_progress",
            "Requests currently being processed.",
            registry=self._registry,
            multiprocess_mode="livesum",
        )
        self.queued = Gauge(
            "model_server_requests_queued",
            "Requests currently waiting in the queue.",
            registry=self._registry,
            multiprocess_mode="livesum",
        )
        self.model_info = Gauge(
            "model_server_model_info",
            "Always 1. The labels describe each served model.",
            ["model", "format", "task"],
            registry=self._registry,
            multiprocess_mode="livemax",
        )

        self.model_load_failed = Gauge(
            "model_server_model_load_failed",
            "1 for each model that failed to load. /readyz has the reason.",
            ["model"],
            registry=self._registry,
            multiprocess_mode="livemax",
        )

    def observe_stages(self, model: str, stages: Mapping[str, float]) -> None:
        """Adds one request's stage times, in seconds."""
        for stage, seconds in stages.items():
            child = self._stages.get((stage, model))
            if child is None:
                child = self._stages[stage, model] = self.stage_seconds.labels(stage, model)
            child.observe(seconds)

    def page(self) -> bytes:
        """All metrics in Prometheus text format, summed over the workers."""
        if os.environ.get(MULTIPROCESS_VARIABLE):
            everyone = CollectorRegistry()
            multiprocess.MultiProcessCollector(everyone)  # type: ignore[no-untyped-call]
            return generate_latest(everyone)
        return generate_latest(self._registry)
