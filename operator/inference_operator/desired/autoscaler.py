"""The HorizontalPodAutoscaler, the only owner of the number of replicas if it exists."""

from __future__ import annotations

from inference_operator import names
from inference_operator.api.types import InferenceService, Scaling
from inference_operator.objects import Manifest


def build_autoscaler(service: InferenceService, minimum: int = 0) -> Manifest | None:
    """An autoscaling/v2 autoscaler, or None when the number of replicas is fixed.

    It keeps at least `minimum` replicas, also where the spec asks for fewer.
    """
    scaling = service.scaling
    if not scaling.autoscaled:
        return None
    spec: Manifest = {
        "scaleTargetRef": {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "name": names.predictor(service.name),
        },
        "minReplicas": max(scaling.min_replicas, minimum),
        "maxReplicas": scaling.max_replicas,
        "metrics": [dict(metric) for metric in scaling.metrics] or [build_metric(scaling)],
    }
    if scaling.behavior:
        spec["behavior"] = dict(scaling.behavior)
    return {"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "spec": spec}


def build_canary_autoscaler(service: InferenceService) -> Manifest | None:
    """The autoscaler of a canary whose load does not follow that of the stable side."""
    manifest = build_autoscaler(service)
    if manifest is None:
        return None
    name = names.canary(service.name)
    manifest["metadata"] = {"name": name, "labels": names.labels(service.name, names.CANARY)}
    manifest["spec"]["scaleTargetRef"]["name"] = name
    manifest["spec"]["minReplicas"] = 1
    return manifest


def build_metric(scaling: Scaling) -> Manifest:
    """A resource metric from scaleMetric, scaleTarget and scaleMetricType."""
    target: Manifest = {"type": scaling.target_type}
    if scaling.target_type == "Utilization":
        target["averageUtilization"] = scaling.target
    else:
        target["averageValue"] = f"{scaling.target}{'m' if scaling.metric == 'cpu' else 'Mi'}"
    return {"type": "Resource", "resource": {"name": scaling.metric, "target": target}}
