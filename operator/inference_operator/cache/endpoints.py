"""EndpointSlices, reduced to the pods that a Service sends requests to. Pure.

kube-proxy, gateways and meshes route by them: a ready pod that is in none of them gets no requests
(https://kubernetes.io/docs/concepts/services-networking/endpoint-slices).
"""

from __future__ import annotations

from dataclasses import dataclass

from inference_operator.objects import Json, controller_of, resource_version


@dataclass(frozen=True, slots=True)
class Endpoints:
    """One EndpointSlice.

    Attributes:
        uid: The object's UID.
        version: Its resource version.
        service_uid: UID of the Service that it belongs to, empty if it belongs to none.
        pods: Names of the pods that it lists as ready.
    """

    uid: str
    version: int
    service_uid: str
    pods: frozenset[str]


def service_of(metadata: Json) -> str:
    """Name of the Service that an EndpointSlice belongs to, empty if it belongs to none."""
    return str(_owning_service(metadata).get("name", ""))


def _owning_service(metadata: Json) -> Json:
    owner = controller_of(metadata)
    return owner if owner.get("kind") == "Service" else {}


def read_endpoints(body: Json) -> Endpoints:
    """Reduce an EndpointSlice."""
    metadata = body["metadata"]
    service_uid = _owning_service(metadata).get("uid", "")
    pods = frozenset(
        str(target["name"])
        for endpoint in body.get("endpoints") or ()
        if (target := endpoint.get("targetRef") or {}).get("kind") == "Pod"
        # Absent means ready: the field is optional in the API.
        and (endpoint.get("conditions") or {}).get("ready") is not False
    )
    return Endpoints(metadata["uid"], resource_version(metadata), service_uid, pods)
