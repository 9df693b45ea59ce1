"""Parses replicas, autoscaling and the limits of requests in `spec.predictor`. Pure."""

from __future__ import annotations

from inference_operator.api.reader import Reader
from inference_operator.api.types import Limits, Scaling
from inference_operator.errors import SpecError
from inference_operator.objects import Json

_MAXIMUM_REPLICAS = 1000
_DEFAULT_MAXIMUM = 3
METRIC_TYPES = ("Resource", "ContainerResource", "Pods", "Object", "External")


def parse_scaling(predictor: Reader) -> Scaling:
    """The number of replicas and the autoscaler's metrics.

    Raises:
        SpecError: A field is wrong or not supported; the message names it.
    """
    minimum, maximum = _parse_replicas(predictor)
    automatic = predictor.child("autoScaling")
    metrics = _parse_metrics(automatic)
    simple = [predictor.has(k) for k in ("scaleMetric", "scaleTarget", "scaleMetricType")]
    if metrics and any(simple):
        raise SpecError(
            automatic.path("metrics"),
            "cannot be combined with scaleMetric, scaleTarget or scaleMetricType: remove either",
        )
    target = predictor.number("scaleTarget", 1, 2**31 - 1)
    kind = predictor.choice("scaleMetricType", ("Utilization", "AverageValue"))
    if kind and target is None:
        raise SpecError(predictor.path("scaleMetricType"), "requires scaleTarget: set it")
    behavior = automatic.mapping("behavior")
    automatic.finish()
    return Scaling(
        min_replicas=minimum,
        max_replicas=maximum,
        metric=predictor.choice(
            "scaleMetric", ("cpu", "memory"), "use cpu or memory, or autoScaling.metrics"
        )
        or "cpu",
        target=80 if target is None else target,
        target_type=kind or "Utilization",
        metrics=metrics,
        behavior=behavior,
        configured=bool(metrics or behavior or any(simple)),
    )


def _parse_replicas(predictor: Reader) -> tuple[int, int]:
    """The smallest and the largest number of replicas.

    Without any number they are 1 and 3; minReplicas alone is a fixed number. `kubectl scale` may
    set minReplicas above maxReplicas, which then counts as minReplicas; the schema refuses that
    where somebody writes it.
    """
    minimum = predictor.number("minReplicas", 0, _MAXIMUM_REPLICAS)
    maximum = predictor.number("maxReplicas", 0, _MAXIMUM_REPLICAS)
    if minimum is None and not maximum:
        return 1, _DEFAULT_MAXIMUM
    minimum = 1 if minimum is None else minimum
    if maximum and minimum == 0:
        raise SpecError(
            predictor.path("minReplicas"),
            "0 with maxReplicas means scaling from zero, which is not supported: set 1 or more, or "
            "remove maxReplicas to stop the service",
        )
    return minimum, max(maximum or 0, minimum)


def _parse_metrics(automatic: Reader) -> tuple[Json, ...]:
    metrics = automatic.objects("metrics")
    for index, metric in enumerate(metrics):
        if metric.get("type") not in METRIC_TYPES:
            raise SpecError(
                f"{automatic.path('metrics')}[{index}].type",
                f"{metric.get('type')!r} is not supported: use one of {', '.join(METRIC_TYPES)}",
            )
    return metrics


def parse_limits(predictor: Reader) -> Limits:
    """Concurrency, time-out and batching.

    Raises:
        SpecError: A field is wrong or not supported; the message names it.
    """
    batcher = predictor.child("batcher")
    limits = Limits(
        concurrency=predictor.number("containerConcurrency", 0, 1000) or None,
        timeout_s=predictor.number("timeout", 1, 3600),
        max_batch_size=batcher.number("maxBatchSize", 1, 1024),
        max_latency_ms=batcher.number("maxLatency", 0, 10000),
    )
    batcher.finish()
    return limits
