"""Determines the owner of an object from its owner references. Pure.

Labels prove nothing: anyone who may create a pod can copy them. Only the controller in
`metadata.ownerReferences`, with the UID of the InferenceService, counts. A pod is two steps away:
its controller is a ReplicaSet, named after its Deployment and the hash of its template.
"""

from __future__ import annotations

from inference_operator import names
from inference_operator.objects import Json, Key, controller_of

_HASH_LABEL = "pod-template-hash"


def claimed_by(metadata: Json) -> Key | None:
    """Return the InferenceService that an object claims to belong to, by controller or label."""
    namespace = metadata.get("namespace", "")
    owner = controller_of(metadata)
    if _is_service(owner):
        return (namespace, owner["name"])
    name = (metadata.get("labels") or {}).get(names.LABEL_SERVICE)
    return (namespace, name) if name else None


def is_controlled_by(metadata: Json, uid: str) -> bool:
    """Whether the controller of an object is the InferenceService with this UID."""
    owner = controller_of(metadata)
    return _is_service(owner) and owner.get("uid") == uid


def deployment_of(metadata: Json) -> str:
    """Return the name of the Deployment that a pod belongs to, empty if it belongs to none."""
    owner = controller_of(metadata)
    suffix = f"-{(metadata.get('labels') or {}).get(_HASH_LABEL, '')}"
    name = str(owner.get("name", ""))
    of_replica_set = owner.get("kind") == "ReplicaSet" and owner.get("apiVersion") == "apps/v1"
    if not of_replica_set or suffix == "-" or not name.endswith(suffix):
        return ""
    return name.removesuffix(suffix)


def _is_service(owner: Json) -> bool:
    """Whether an owner reference names an InferenceService of ours, not KServe's."""
    group = str(owner.get("apiVersion", "")).rpartition("/")[0]
    return owner.get("kind") == names.KIND and group == names.GROUP
