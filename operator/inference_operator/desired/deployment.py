"""The Deployment: replaces pods so that no request is lost.

It must not carry `replicas` when an autoscaler owns the number.
"""

from __future__ import annotations

from inference_operator import names
from inference_operator.api.types import InferenceService
from inference_operator.objects import Manifest
from inference_operator.rollout.types import Plan

# Both bounds are always written: a bound that the API server filled in would be nobody's to remove
# when the strategy changes to Recreate.
_ROLLING: Manifest = {"maxSurge": "25%", "maxUnavailable": 0}


def build_deployment(service: InferenceService, plan: Plan) -> Manifest:
    """The Deployment of the stable side."""
    spec: Manifest = {
        "selector": {"matchLabels": names.selector(service.name)},
        "template": plan.revision(plan.stable).template,
        "strategy": build_strategy(service),
        # A paused Deployment never rolls out and never misses its deadline.
        "paused": plan.paused,
        "progressDeadlineSeconds": service.rollout.deadline_s,
        "revisionHistoryLimit": 3,
    }
    if not service.scaling.autoscaled:
        spec["replicas"] = service.scaling.min_replicas
    return {"apiVersion": "apps/v1", "kind": "Deployment", "spec": spec}


def build_canary_deployment(service: InferenceService, plan: Plan) -> Manifest | None:
    """The Deployment of the revision that is tried beside the stable one, None without one."""
    if not plan.canary:
        return None
    template = plan.revision(plan.canary).template
    template["metadata"]["labels"][names.LABEL_COMPONENT] = names.CANARY
    manifest = build_deployment(service, plan)
    spec: Manifest = {
        **manifest["spec"],
        "selector": {"matchLabels": names.selector(service.name, names.CANARY)},
        "template": template,
    }
    spec["paused"] = False
    spec.pop("replicas", None)
    if not plan.canary_autoscaled:
        spec["replicas"] = plan.canary_replicas
    metadata = {
        "name": names.canary(service.name),
        "labels": names.labels(service.name, names.CANARY),
    }
    return {**manifest, "metadata": metadata, "spec": spec}


def build_strategy(service: InferenceService) -> Manifest:
    """The user's strategy, or: a new pod is Ready before an old one goes."""
    given = service.pod.strategy
    if given.get("type") == "Recreate":
        return {"type": "Recreate"}
    bounds = {**_ROLLING, **given.get("rollingUpdate", {})}
    return {"type": "RollingUpdate", "rollingUpdate": bounds}
