"""What a namespace holds of a service, without what differs between two runs by nature.

Left out are uids, versions, times and addresses, who wrote which field, and the status of children,
which is their controllers'. All else must be the same whatever happened on the way.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from support.api import Api, Json

NAME = "svc"
PLURAL = "inferenceservices"
SERVICES = f"apis/inference-operator.dev/v1beta1/{{}}{PLURAL}"
# Every kind that the operator may write. A kind that is written but not here fails the suite.
CHILDREN = {
    "deployments": "apis/apps/v1/{}deployments",
    "services": "api/v1/{}services",
    "horizontalpodautoscalers": "apis/autoscaling/v2/{}horizontalpodautoscalers",
    "poddisruptionbudgets": "apis/policy/v1/{}poddisruptionbudgets",
    "controllerrevisions": "apis/apps/v1/{}controllerrevisions",
    "networkpolicies": "apis/networking.k8s.io/v1/{}networkpolicies",
    "ingresses": "apis/networking.k8s.io/v1/{}ingresses",
}
OTHERS = {
    "replicasets": "apis/apps/v1/{}replicasets",
    "pods": "api/v1/{}pods",
    "events": "api/v1/{}events",
}
PATHS = {PLURAL: SERVICES, **CHILDREN, **OTHERS}
NOT_COMPARED = {"events", "leases"}
_APPLIED = "inference-operator.dev/applied"
_MANAGED = "app.kubernetes.io/managed-by"
_POD = re.compile(rf"\b{NAME}-predictor-[0-9a-z]+-[0-9a-z]{{5}}\b")
# As Kubernetes writes it, and as seconds since the epoch in annotations of the operator's.
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ|\b[12]\d{9}\b")
_DROPPED = {
    "uid",
    "resourceVersion",
    "creationTimestamp",
    "managedFields",
    "generation",
    "selfLink",
    "namespace",
}
_ADDRESSES = {"clusterIP", "clusterIPs", "nodePort", "healthCheckNodePort"}
State = Json


async def look(api: Api) -> dict[str, Json]:
    """Every object that matters, by namespace and resource."""
    found: dict[str, Json] = defaultdict(lambda: {resource: [] for resource in PATHS})
    for resource, path in PATHS.items():
        for item in (await api.call("GET", path.format(""))).get("items") or ():
            found[item["metadata"]["namespace"]][resource].append(item)
    return found


def state_of(namespace: str, objects: Mapping[str, list[Json]] | None) -> State:
    """The comparable state of one namespace."""
    if objects is None:
        return {}
    state: State = {}
    for service in objects[PLURAL]:
        state[f"{PLURAL} {service['metadata']['name']}"] = _service(service)
    for resource in CHILDREN:
        for child in objects[resource]:
            if _MANAGED in (child["metadata"].get("labels") or {}):
                state[f"{resource} {child['metadata']['name']}"] = _child(resource, child, objects)
    # Empty ones stay as history; how many there are tells of rollouts that nobody asked for.
    sets = [one for one in objects["replicasets"] if one["metadata"].get("ownerReferences")]
    if sets:
        state["replicasets"] = sorted(f"{one['spec']['replicas']} of {_hash(one)}" for one in sets)
    running = sorted(
        f"{_hash(pod)} {'ready' if _is_ready(pod) else 'not ready'}" for pod in objects["pods"]
    )
    if running:
        state["pods"] = running
    text = json.dumps(state, sort_keys=True).replace(namespace, "NAMESPACE")
    normal: State = json.loads(_TIME.sub("TIME", _POD.sub("POD", text)))
    return normal


def _hash(body: Json) -> str:
    return str((body["metadata"].get("labels") or {}).get("inference-operator.dev/revision"))


def _is_ready(pod: Json) -> bool:
    conditions = pod.get("status", {}).get("conditions") or ()
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)


def _service(body: Json) -> Json:
    generation = body["metadata"]["generation"]
    status = json.loads(json.dumps(body.get("status") or {}))
    for part in (status, *status.get("conditions", ())):
        if "observedGeneration" in part:
            part["observedGeneration"] = part["observedGeneration"] - generation
        part.pop("lastTransitionTime", None)
    return {"metadata": _metadata(body, {}), "spec": body.get("spec"), "status": status}


def _child(resource: str, body: Json, objects: Mapping[str, list[Json]]) -> Json:
    owners = {one["metadata"]["uid"]: "the service" for one in objects[PLURAL]}
    spec: Any = body.get("spec", body.get("data"))
    if resource == "services":
        spec = {key: value for key, value in spec.items() if key not in _ADDRESSES}
        spec["ports"] = [
            {key: value for key, value in port.items() if key not in _ADDRESSES}
            for port in spec.get("ports", ())
        ]
    return {"metadata": _metadata(body, owners), "spec": spec}


def _metadata(body: Json, owners: Mapping[str, str]) -> Json:
    metadata = {k: v for k, v in body["metadata"].items() if k not in _DROPPED}
    metadata["ownerReferences"] = [
        {**owner, "uid": owners.get(owner["uid"], "somebody who is gone")}
        for owner in metadata.get("ownerReferences") or ()
    ]
    annotations = dict(metadata.get("annotations") or {})
    # Counts rollouts, those that were begun in vain too; `replicasets` says the same better.
    annotations.pop("deployment.kubernetes.io/revision", None)
    # A digest of the whole manifest, the owner's uid included.
    if _APPLIED in annotations:
        annotations[_APPLIED] = "DIGEST"
    metadata["annotations"] = annotations
    return metadata


def differences(state: object, expected: object, where: str = "") -> list[str]:
    """In words, where two states differ."""
    if isinstance(state, dict) and isinstance(expected, dict):
        found = []
        for key in sorted({*state, *expected}):
            if key not in state:
                found.append(f"{where}/{key} is missing")
            elif key not in expected:
                found.append(f"{where}/{key} should not be there: {_short(state[key])}")
            else:
                found += differences(state[key], expected[key], f"{where}/{key}")
        return found
    if state == expected:
        return []
    return [f"{where} is {_short(state)}, expected {_short(expected)}"]


def _short(value: object) -> str:
    text = json.dumps(value)
    return text if len(text) < 300 else text[:300] + "..."


def settled_by_controllers(objects: Mapping[str, list[Json]] | None) -> bool:
    """Whether the cluster's own controllers have had a look at every child."""
    if objects is None:
        return True
    for one in objects["horizontalpodautoscalers"]:
        if not (one.get("status") or {}).get("conditions"):
            return False
    for one in objects["deployments"]:
        seen = (one.get("status") or {}).get("observedGeneration", 0)
        if seen != one["metadata"]["generation"]:
            return False
    return True
