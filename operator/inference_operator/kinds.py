"""The kinds of objects that the operator reads or writes, and where the API serves them.

Together with the verbs in the ClusterRole this is everything the operator has access to.
"""

from __future__ import annotations

from dataclasses import dataclass

from inference_operator import names


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of object; `api_version` is `v1` or `GROUP/VERSION`."""

    api_version: str
    plural: str

    @property
    def group(self) -> str:
        """The API group, empty for the core group."""
        return self.api_version.rpartition("/")[0]


KINDS = {
    names.KIND: Kind(names.API_VERSION, names.PLURAL),
    "Deployment": Kind("apps/v1", "deployments"),
    "ControllerRevision": Kind("apps/v1", "controllerrevisions"),
    "Service": Kind("v1", "services"),
    "HorizontalPodAutoscaler": Kind("autoscaling/v2", "horizontalpodautoscalers"),
    "PodDisruptionBudget": Kind("policy/v1", "poddisruptionbudgets"),
    "EndpointSlice": Kind("discovery.k8s.io/v1", "endpointslices"),
    "Pod": Kind("v1", "pods"),
    "Event": Kind("v1", "events"),
    "Lease": Kind("coordination.k8s.io/v1", "leases"),
}

# Applied and deleted by the operator.
CHILD_KINDS = (
    "Deployment",
    "Service",
    "HorizontalPodAutoscaler",
    "PodDisruptionBudget",
    "ControllerRevision",
)
# Watched by the operator itself; kopf watches InferenceServices.
WATCHED_KINDS = (*CHILD_KINDS, "EndpointSlice", "Pod")
