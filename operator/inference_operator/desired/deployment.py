"""The Deployment, which replaces pods without losing requests.

It must not contain `replicas` if an autoscaler owns the number.
"""

from __future__ import annotations

from inference_operator import names
from inference_operator.api.types import InferenceService
from inference_operator.desired.pod import START_SECONDS
from inference_operator.objects import Manifest

# Both bounds are always set: one that the API server filled in would have no owner, and would
# remain when the strategy changes to Recreate.
_ROLLING: Manifest = {"maxSurge": "25%", "maxUnavailable": 0}


def build_deployment(service: InferenceService, template: Manifest) -> Manifest:
    """A Deployment of pods from `template`."""
    spec: Manifest = {
        "selector": {"matchLabels": names.selector(service.name)},
        "template": _with_copies(template),
        "strategy": build_strategy(service),
        # A paused Deployment never rolls out and never misses its deadline.
        "paused": False,
        "progressDeadlineSeconds": START_SECONDS,
        "revisionHistoryLimit": 3,
    }
    if not service.scaling.autoscaled:
        spec["replicas"] = service.scaling.min_replicas
    return {"apiVersion": "apps/v1", "kind": "Deployment", "spec": spec}


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
