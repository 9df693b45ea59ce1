"""InferenceServices, their children and their pods, as the API server would give them."""

from __future__ import annotations

from typing import Any

from inference_operator import names
from inference_operator.kinds import KINDS

Body = dict[str, Any]
KEY = ("vision", "shapes")
UID = "u"
HASH = "6f7d8"


def service(version: int = 1, uid: str = UID, name: str = "shapes", **spec: Any) -> Body:
    """An InferenceService."""
    metadata = {
        "namespace": "vision",
        "name": name,
        "uid": uid,
        "generation": 1,
        "resourceVersion": str(version),
    }
    return {
        "apiVersion": names.API_VERSION,
        "kind": names.KIND,
        "metadata": metadata,
        "spec": spec,
        "status": {},
    }


def owner(uid: str = UID, name: str = "shapes", api_version: str = names.API_VERSION) -> Body:
    """The owner reference of a child."""
    return {
        "apiVersion": api_version,
        "kind": names.KIND,
        "name": name,
        "uid": uid,
        "controller": True,
    }


def child(
    kind: str = "Deployment",
    version: int = 1,
    uid: str = "d",
    name: str = "shapes-predictor",
    owners: tuple[Body, ...] | None = None,
) -> Body:
    """A child of `service()`, unless it has other owners."""
    metadata: Body = {
        "namespace": "vision",
        "name": name,
        "uid": uid,
        "resourceVersion": str(version),
        "labels": names.labels("shapes"),
        "ownerReferences": list((owner(),) if owners is None else owners),
    }
    return {
        "apiVersion": KINDS[kind].api_version,
        "kind": kind,
        "metadata": metadata,
        "spec": {},
        "status": {},
    }


def endpoint_slice(
    *pods: str, service_uid: str = "s", name: str = "shapes-predictor", version: int = 1
) -> Body:
    """An EndpointSlice of the Service `name` that leads to `pods`."""
    owner = {"apiVersion": "v1", "kind": "Service", "name": name, "uid": service_uid}
    metadata = {
        "namespace": "vision",
        "name": f"{name}-abcde",
        "uid": f"{name}-slice",
        "resourceVersion": str(version),
        "labels": names.labels("shapes"),
        "ownerReferences": [owner | {"controller": True}],
    }
    endpoints = [
        {"conditions": {"ready": True}, "targetRef": {"kind": "Pod", "name": one}} for one in pods
    ]
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": metadata,
        "endpoints": endpoints,
    }


def pod(
    name: str = "p", version: int = 1, deployment: str = "shapes-predictor", service: str = "shapes"
) -> Body:
    """A pod of a Deployment."""
    replica_set = {
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "name": f"{deployment}-{HASH}",
        "uid": "r",
        "controller": True,
    }
    metadata = {
        "namespace": "vision",
        "name": name,
        "uid": name,
        "resourceVersion": str(version),
        "labels": {**names.labels(service), "pod-template-hash": HASH},
        "ownerReferences": [replica_set],
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": metadata,
        "spec": {},
        "status": {},
    }
