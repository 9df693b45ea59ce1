"""The HorizontalPodAutoscaler, the only owner of the number of replicas if it exists."""

from __future__ import annotations

from inference_operator import names
from inference_operator.api.types import InferenceService, Scaling
from inference_operator.objects import Manifest


def build_autoscaler(service: InferenceService) -> Manifest | None:
    """An autoscaling/v2 HorizontalPodAutoscaler, None if the number of replicas is fixed."""
    scaling = service.scaling
    if not scaling.autoscaled:
        return None
    spec: Manifest = {
        "scaleTargetRef": {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "name": names.predictor(service.name),
        },
        "minReplicas": scaling.min_replicas,
        "maxReplicas": scaling.max_replicas,
        "metrics": [dict(metric) for metric in scaling.metrics] or [build_metric(scaling)],
    }
    if scaling.behavior:
        spec["behavior"] = dict(scaling.behavior)
    return {"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "spec": spec}


def build_metric(scaling: Scaling) -> Manifest:
    """A resource metric from scaleMetric, scaleTarget and scaleMetricType."""
    target: Manifest = {"type": scaling.target_type}
    if scaling.target_type == "Utilization":
        target["averageUtilization"] = scaling.target
    else:
        target["averageValue"] = f"{scaling.target}{'m' if scaling.metric == 'cpu' else 'Mi'}"
    return {"type": "Resource", "resource": {"name": scaling.metric, "target": target}}
