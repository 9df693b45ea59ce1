"""Where the kinds of Kubernetes that the operator touches live in its API. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from inference_operator import names

Json = Mapping[str, Any]

# Where each kind lives; with the verbs of RBAC this is all that the operator ever touches.
PATHS = {
    "InferenceService": (f"apis/{names.API_VERSION}", names.PLURAL),
    "Deployment": ("apis/apps/v1", "deployments"),
    "Service": ("api/v1", "services"),
    "HorizontalPodAutoscaler": ("apis/autoscaling/v2", "horizontalpodautoscalers"),
    "PodDisruptionBudget": ("apis/policy/v1", "poddisruptionbudgets"),
    "Pod": ("api/v1", "pods"),
    "Event": ("api/v1", "events"),
    "Lease": ("apis/coordination.k8s.io/v1", "leases"),
}
PLURALS = {plural for _, plural in PATHS.values()}


def selection(kind: str) -> dict[str, str]:
    """Query for the objects that are the operator's business."""
    if kind == "InferenceService":
        return {}
    return {"labelSelector": f"{names.LABEL_MANAGED_BY}={names.MANAGED_BY}"}


def path(kind: str, namespace: str = "", name: str = "") -> str:
    """Path of a collection, or of one object of it; all namespaces when none is given."""
    prefix, plural = PATHS[kind]
    middle = f"namespaces/{namespace}/" if namespace else ""
    return f"{prefix}/{middle}{plural}" + (f"/{name}" if name else "")


def path_of(manifest: Json) -> str:
    """Path of the object that a manifest describes."""
    metadata = manifest["metadata"]
    return path(manifest["kind"], metadata["namespace"], metadata["name"])
