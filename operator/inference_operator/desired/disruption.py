"""The PodDisruptionBudget: draining nodes evicts one pod of a service at a time."""

from __future__ import annotations

from inference_operator import names
from inference_operator.api.types import InferenceService
from inference_operator.objects import Manifest


def build_disruption_budget(service: InferenceService) -> Manifest | None:
    """A PodDisruptionBudget, None if there is at most one pod."""
    scaling = service.scaling
    if scaling.min_replicas == 0 or scaling.max_replicas < 2:
        return None
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "spec": {
            "maxUnavailable": 1,
            "selector": {"matchLabels": names.selector(service.name)},
            # A pod that is not Ready serves nothing; keeping it would only block the drain.
            "unhealthyPodEvictionPolicy": "AlwaysAllow",
        },
    }
