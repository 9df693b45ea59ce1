"""EndpointSlices, reduced to the pods that a Service sends requests to. Pure.

They are what kube-proxy, gateways and meshes route by: a pod that is ready and not in one of them
gets no request (https://kubernetes.io/docs/concepts/services-networking/endpoint-slices).
"""

from __future__ import annotations

from inference_operator.objects import Json


def read_endpoints(body: Json) -> frozenset[str]:
    """Names of the pods that an EndpointSlice lists as ready."""
    return frozenset(
        str(target["name"])
        for endpoint in body.get("endpoints") or ()
        if (target := endpoint.get("targetRef") or {}).get("kind") == "Pod"
        # Absent means ready: the field is optional in the API.
        and (endpoint.get("conditions") or {}).get("ready") is not False
    )
