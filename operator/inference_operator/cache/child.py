"""One child of an InferenceService as last observed. Pure."""

from __future__ import annotations

import hashlib
import sys
from dataclasses import dataclass
from enum import Enum

import msgspec

from inference_operator import names
from inference_operator.cache.observed import (
    DeploymentState,
    read_deployment,
    read_load_balancer,
)
from inference_operator.kinds import KINDS
from inference_operator.objects import Json, resource_version
from inference_operator.rollout.records import Revision, read_revision

# Set by the Deployment controller, never by the operator.
_REVISION_ANNOTATION = "deployment.kubernetes.io/revision"
# Fields that hold the desired state of a kind; a ControllerRevision has the last two.
_CONTENT = ("spec", "revision", "data")


class ReplicasOwner(Enum):
    """Who owns `spec.replicas` of a Deployment.

    HANDOVER is the operator's second field manager, which holds the number until an autoscaler
    sets its own.
    """

    NOBODY = 0
    OPERATOR = 1
    HANDOVER = 2
    OTHER = 3


@dataclass(slots=True)
class Child:
    """Cached state of one child.

    Attributes:
        uid: The object's UID.
        version: Its resource version.
        body: The object, kept only until it has been compared with the desired manifest.
        in_sync_with: Digest of the manifest that the child last matched.
        compared: Fingerprint of the body that matched.
        accepted: Digest of the manifest in the form returned by the API server.
        replicas_owner: For a Deployment, who owns the number of replicas.
        changed_by: The field manager, other than the operator, that last changed the child.
        repairs: Number of consecutive repairs.
        repaired_at: Time of the last repair, on the monotonic clock.
        deployment: State of a Deployment.
        load_balancer: Host name or address that the cloud assigned to a Service, or empty.
        revision: The revision that a ControllerRevision records.
    """

    uid: str
    version: int
    body: Json | None = None
    in_sync_with: bytes = b""
    compared: bytes = b""
    accepted: bytes = b""
    replicas_owner: ReplicasOwner = ReplicasOwner.NOBODY
    changed_by: str = ""
    repairs: int = 0
    repaired_at: float = 0.0
    deployment: DeploymentState | None = None
    load_balancer: str = ""
    revision: Revision | None = None

    def mark_in_sync(self, digest: bytes) -> None:
        """Record that the body matches the manifest with this digest, and drop the body."""
        self.in_sync_with = digest
        if self.body is not None:
            self.compared, self.body = _fingerprint(self.body), None

    def inherit(self, earlier: Child) -> None:
        """Carry over what is known from an earlier version of the same object."""
        self.in_sync_with = earlier.in_sync_with
        self.compared = earlier.compared
        self.accepted = earlier.accepted
        self.repairs, self.repaired_at = earlier.repairs, earlier.repaired_at
        # Most events change only the status, so there is nothing new to compare.
        unchanged = earlier.compared and _fingerprint(self.body) == earlier.compared
        if earlier.body is None and unchanged:
            self.body = None


def read_child(kind: str, body: Json) -> Child:
    """Reduce an object of kind `kind` to a `Child`."""
    metadata = body["metadata"]
    child = Child(metadata["uid"], resource_version(metadata), _reduce(kind, body))
    child.changed_by = sys.intern(changed_by(metadata))
    if kind == "Deployment":
        child.replicas_owner = _replicas_owner(metadata)
        child.deployment = read_deployment(body)
    elif kind == "Service":
        child.load_balancer = read_load_balancer(body)
    elif kind == "ControllerRevision":
        child.revision = read_revision(body)
    return child


def changed_by(metadata: Json) -> str:
    """Return the manager of the latest change, ignoring the operator's and status updates.

    Scaling counts: `kubectl scale` and autoscalers write through the `scale` subresource.
    """
    ours = {names.FIELD_MANAGER, names.HANDOVER_MANAGER}
    others = [
        (entry.get("time", ""), entry.get("manager", ""))
        for entry in metadata.get("managedFields") or ()
        if entry.get("manager") not in ours and entry.get("subresource") != "status"
    ]
    return str(max(others)[1]) if others else "somebody"


def _reduce(kind: str, body: Json) -> Json:
    """Drop the object's status and managed fields."""
    metadata = body["metadata"]
    kept = ("name", "namespace", "labels", "ownerReferences")
    reduced = {name: metadata[name] for name in kept if name in metadata}
    annotations = metadata.get("annotations") or {}
    reduced["annotations"] = {
        key: annotations[key] for key in annotations if key != _REVISION_ANNOTATION
    }
    return {
        # Items of a list have neither apiVersion nor kind.
        "apiVersion": KINDS[kind].api_version,
        "kind": kind,
        "metadata": reduced,
        **{key: body[key] for key in _CONTENT if key in body},
    }


def _fingerprint(body: Json | None) -> bytes:
    """Fingerprint a body; equal bodies may get different ones if their field order differs."""
    return hashlib.blake2b(msgspec.json.encode(body), digest_size=16).digest()


def _replicas_owner(metadata: Json) -> ReplicasOwner:
    """Return the owner of `spec.replicas`; the operator comes first because it must let go."""
    owners = {
        entry.get("manager")
        for entry in metadata.get("managedFields") or ()
        if "f:replicas" in ((entry.get("fieldsV1") or {}).get("f:spec") or {})
    }
    if names.FIELD_MANAGER in owners:
        return ReplicasOwner.OPERATOR
    if owners - {names.HANDOVER_MANAGER}:
        return ReplicasOwner.OTHER
    return ReplicasOwner.HANDOVER if owners else ReplicasOwner.NOBODY
