"""The Deployment, which replaces pods without losing requests.

It must not contain `replicas` if an autoscaler owns the number.
"""

from __future__ import annotations

from inference_operator import names
from inference_operator.api.types import InferenceService
from inference_operator.objects import Manifest
from inference_operator.rollout.types import Plan

# Both bounds are always set: one that the API server filled in would have no owner, and would
# remain when the strategy changes to Recreate.
_ROLLING: Manifest = {"maxSurge": "25%", "maxUnavailable": 0}


def build_deployment(service: InferenceService, plan: Plan) -> Manifest:
    """The Deployment of the stable side."""
    spec: Manifest = {
        "selector": {"matchLabels": names.selector(service.name)},
        "template": _complete(plan.revision(plan.stable).template, service),
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
        "template": _complete(template, service),
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


def _complete(template: Manifest, service: InferenceService) -> Manifest:
    """The template of a revision with what is not recorded in it.

    Labels and annotations that the pods inherit are no part of a revision: a refused model would
    be tried again whenever somebody labels its service.
    """
    metadata = dict(template["metadata"])
    metadata["labels"] = {**service.labels, **metadata["labels"]}
    annotations = {**service.annotations, **metadata.get("annotations", {})}
    if annotations:
        metadata["annotations"] = annotations
    return _with_copies({**template, "metadata": metadata})


def _with_copies(template: Manifest) -> Manifest:
    """The template with the field that the API server would copy from another.

    It copies `serviceAccountName` to the older `serviceAccount` and, where only that is set, back.
    Nobody would own the copy, so a ServiceAccount that is no longer asked for would come back from
    it. Not part of the revision's digest: pods are the same with and without it.
    """
    account = template["spec"].get("serviceAccountName")
    if not account:
        return template
    return {**template, "spec": {**template["spec"], "serviceAccount": account}}


def build_strategy(service: InferenceService) -> Manifest:
    """The user's strategy; by default a new pod is Ready before an old one stops."""
    given = service.pod.strategy
    if given.get("type") == "Recreate":
        return {"type": "Recreate"}
    bounds = {**_ROLLING, **given.get("rollingUpdate", {})}
    return {"type": "RollingUpdate", "rollingUpdate": bounds}
