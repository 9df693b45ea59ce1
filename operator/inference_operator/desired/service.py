"""The Service in front of the pods: port 80 of a stable name."""

from __future__ import annotations

from inference_operator import names
from inference_operator.api.types import InferenceService
from inference_operator.objects import Manifest


def build_service(service: InferenceService) -> Manifest:
    """A Service of the type that was asked for, ClusterIP unless said otherwise."""
    manifest: Manifest = {
        "apiVersion": "v1",
        "kind": "Service",
        "spec": {
            "type": service.exposure.type,
            "selector": names.selector(service.name),
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
