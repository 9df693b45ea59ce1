"""The Service: port 80 under a stable name."""

from __future__ import annotations

from inference_operator import names
from inference_operator.api.types import InferenceService
from inference_operator.objects import Manifest


def build_service(service: InferenceService, *, shared: bool = False) -> Manifest:
    """A Service of the type that was asked for, ClusterIP unless said otherwise.

    It leads to the stable side, and also to the canary when it is `shared`.
    """
    chosen = names.shared_selector if shared else names.selector
    manifest: Manifest = {
        "apiVersion": "v1",
        "kind": "Service",
        "spec": {
            "type": service.exposure.type,
            "selector": chosen(service.name),
            "ports": [
                {
                    "name": names.PORT_NAME,
                    "port": names.SERVICE_PORT,
                    "targetPort": names.PORT_NAME,
                    "protocol": "TCP",
                }
            ],
        },
    }
    if service.exposure.annotations:
        manifest["metadata"] = {"annotations": dict(service.exposure.annotations)}
    return manifest


def build_canary_service(service: InferenceService) -> Manifest:
    """The canary's own Service, inside the cluster only, by which it is reached without a share."""
    manifest = build_service(service)
    manifest["metadata"] = {
        "name": names.canary(service.name),
        "labels": names.labels(service.name, names.CANARY),
    }
    manifest["spec"] |= {
        "type": "ClusterIP",
        "selector": names.selector(service.name, names.CANARY),
    }
    return manifest
