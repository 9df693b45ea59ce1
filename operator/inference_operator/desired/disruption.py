"""The PodDisruptionBudget: draining a node takes one pod of a service at a time."""

from __future__ import annotations

from inference_operator import names
from inference_operator.api.types import InferenceService
from inference_operator.objects import Manifest


def build_disruption_budget(service: InferenceService) -> Manifest | None:
    """A budget where there can be more than one pod, else None."""
    scaling = service.scaling
    if scaling.min_replicas == 0 or scaling.max_replicas < 2:
        return None
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "spec": {
            "maxUnavailable": 1,
            "selector": {"matchLabels": names.selector(service.name)},
            # A pod that is not Ready serves nobody; keeping it would only block the drain.
            "unhealthyPodEvictionPolicy": "AlwaysAllow",
        },
    }
