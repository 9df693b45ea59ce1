"""The Service: port 80 under a stable name."""

from __future__ import annotations

from inference_operator import names
from inference_operator.api.types import InferenceService
from inference_operator.objects import Manifest


def build_service(service: InferenceService) -> Manifest:
    """A Service of the type in the spec, by default ClusterIP."""
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
