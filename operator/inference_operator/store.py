"""What the watches have told so far: every InferenceService with its children and pods.

Reconciling reads from here and asks the API server nothing, which keeps a reconcile at the calls
that change something. Bodies are kept packed (services) or only until they were judged (children).
Not a cache of the API: whatever decisions do not need is dropped on arrival. No IO.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

import msgspec

from inference_operator import kserve, names
from inference_operator.observed import (
    DeploymentState,
    Observed,
    PodState,
    changed_by,
    controller_of,
    read_deployment,
    read_load_balancer,
)
from inference_operator.packing import pack, unpack
from inference_operator.pods import classify

Json = Mapping[str, Any]
Key = tuple[str, str]
Thing = tuple[str, str]
"""Kind and name of an object."""

API_VERSIONS = {
    "Deployment": "apps/v1",
    "Service": "v1",
    "HorizontalPodAutoscaler": "autoscaling/v2",
    "PodDisruptionBudget": "policy/v1",
}
CHILD_KINDS = tuple(API_VERSIONS)
# Of the Deployment's controller, and never ours.
_REVISION = "deployment.kubernetes.io/revision"


class ReplicasOwner(Enum):
    """Whose the number of replicas of a Deployment is.

    HANDOVER is our second field manager, which holds the number until an autoscaler claims it.
    """

    NOBODY = 0
    OPERATOR = 1
    HANDOVER = 2
    OTHER = 3


@dataclass(slots=True)
class Child:
    """One child as it was last seen.

    `body` is what drift is judged by, kept only until that was done. `in_sync_with` is the digest
    of the manifest it was found equal to, `judged` that of the body which was, `accepted` that of
    the form which the API server gave to the manifest. `replicas_owner` is about a Deployment,
    `changed_by` says who else last changed the child. `repairs` counts how often in a row it had
    to be put right, the last time at `repaired_at` on the monotonic clock.
    """

    uid: str
    version: int
    owner_uid: str
    body: Json | None = None
    in_sync_with: bytes = b""
    judged: bytes = b""
    accepted: bytes = b""
    replicas_owner: ReplicasOwner = ReplicasOwner.NOBODY
    changed_by: str = ""
    repairs: int = 0
    repaired_at: float = 0.0

    def found_equal_to(self, mark: bytes) -> None:
        """The body says what the manifest of this digest does: it is no longer needed."""
        self.in_sync_with = mark
        if self.body is not None:
            self.judged, self.body = _fingerprint(self.body), None

    def take_over(self, known: Child) -> None:
        """What was learnt of an earlier version of the same object still holds."""
        self.in_sync_with, self.judged, self.accepted = (
            known.in_sync_with,
            known.judged,
            known.accepted,
        )
        self.repairs, self.repaired_at = known.repairs, known.repaired_at
        # Most events are of a status, and leave nothing new to judge.
        if known.body is None and known.judged and _fingerprint(self.body) == known.judged:
            self.body = None


@dataclass(slots=True)
class Entry:
    """Everything known of one InferenceService, which itself may be unknown (`raw` empty)."""

    raw: bytes = b""
    uid: str = ""
    version: int = 0
    generation: int = 0
    children: dict[str, Child] = field(default_factory=dict)
    pods: dict[str, tuple[PodState, int]] = field(default_factory=dict)
    deployment: DeploymentState | None = None
    load_balancer: str = ""


class Store:
    """All entries, by namespace and name."""

    def __init__(self) -> None:
        self._entries: dict[Key, Entry] = {}

    def __len__(self) -> int:
        return sum(1 for entry in self._entries.values() if entry.raw)

    def services(self) -> Iterator[Key]:
        """Keys of all known InferenceServices."""
        return (key for key, entry in list(self._entries.items()) if entry.raw)

    def all_keys(self) -> list[Key]:
        """Keys of everything known, children without their InferenceService included."""
        return list(self._entries)

    def versions(self, key: Key) -> dict[Thing, tuple[str, int]]:
        """Uid and resource version of everything known of `key`."""
        entry = self._entries.get(key)
        if entry is None:
            return {}
        child = names.predictor(key[1])
        known = {(kind, child): (c.uid, c.version) for kind, c in entry.children.items()}
        known |= {("Pod", pod.name): (pod.uid, v) for pod, v in entry.pods.values()}
        if entry.raw:
            known["InferenceService", key[1]] = (entry.uid, entry.version)
        return known

    def entry(self, key: Key) -> Entry | None:
        """The entry of `key`, if anything is known."""
        return self._entries.get(key)

    def body(self, key: Key) -> dict[str, Any] | None:
        """The InferenceService `key`, as metadata, spec and status; None when there is none."""
        entry = self._entries.get(key)
        if entry is None or not entry.raw:
            return None
        return unpack(entry.raw)

    def observed(self, key: Key) -> Observed:
        """What is known of the children of `key`."""
        entry = self._entries.get(key) or Entry()
        pods = tuple(pod for pod, _ in sorted(entry.pods.values(), key=lambda pair: pair[0].name))
        deployment = entry.deployment if "Deployment" in entry.children else None
        return Observed(deployment, pods, entry.load_balancer)

    def put_service(self, key: Key, body: Json) -> bool:
        """Remember an InferenceService; says whether it is news."""
        metadata = body["metadata"]
        entry = self._entries.setdefault(key, Entry())
        version = version_of(metadata)
        if entry.uid == metadata["uid"] and 0 < version <= entry.version:
            return False
        kept = ("name", "namespace", "uid", "generation", "deletionTimestamp")
        slim = {
            "metadata": {
                **{name: metadata[name] for name in kept if name in metadata},
                **_foreign(metadata),
            },
            "spec": body.get("spec") or {},
            "status": body.get("status") or {},
        }
        entry.raw = pack(slim)
        entry.uid, entry.version = metadata["uid"], version
        entry.generation = metadata.get("generation", 0)
        return True

    def drop_service(self, key: Key, uid: str) -> None:
        """Forget an InferenceService, unless another of the same name has taken its place."""
        entry = self._entries.get(key)
        if entry is not None and entry.uid == uid:
            entry.raw, entry.uid, entry.version, entry.generation = b"", "", 0, 0
            self._tidy(key)

    def put_child(self, key: Key, kind: str, body: Json) -> bool:
        """Remember a child; says whether it is news."""
        metadata = body["metadata"]
        entry = self._entries.setdefault(key, Entry())
        known = entry.children.get(kind)
        version = version_of(metadata)
        if known is not None and known.uid == metadata["uid"] and 0 < version <= known.version:
            return False
        if metadata.get("name") != names.predictor(key[1]):
            return False
        owner = controller_of(metadata).get("uid", "")
        # Strings that are the same for all are kept once.
        owner = entry.uid if owner == entry.uid else owner
        child = Child(metadata["uid"], version, owner, _slim(kind, body))
        child.changed_by = sys.intern(changed_by(metadata))
        if kind == "Deployment":
            child.replicas_owner = _replicas_owner(metadata)
        if known is not None and known.uid == child.uid:
            child.take_over(known)
        entry.children[kind] = child
        self._note(entry, kind, body)
        return True

    def _note(self, entry: Entry, kind: str, body: Json) -> None:
        """Keep what the status says of a child."""
        if kind == "Deployment":
            entry.deployment = read_deployment(body)
        elif kind == "Service":
            entry.load_balancer = read_load_balancer(body)

    def drop_child(self, key: Key, kind: str, uid: str) -> bool:
        """Forget a child; says whether it was known."""
        entry = self._entries.get(key)
        if entry is None or kind not in entry.children or entry.children[kind].uid != uid:
            return False
        del entry.children[kind]
        self._tidy(key)
        return True

    def put_pod(self, key: Key, body: Json) -> bool:
        """Remember a pod; says whether anything worth telling has changed."""
        entry = self._entries.setdefault(key, Entry())
        state, version = classify(body), version_of(body["metadata"])
        known, known_version = entry.pods.get(state.name, (None, 0))
        if known is not None and known.uid == state.uid and 0 < version < known_version:
            return False
        entry.pods[state.name] = (state, version)
        return known != state

    def drop_pod(self, key: Key, name: str) -> bool:
        """Forget a pod; says whether it was known."""
        entry = self._entries.get(key)
        if entry is None or entry.pods.pop(name, None) is None:
            return False
        self._tidy(key)
        return True

    def _tidy(self, key: Key) -> None:
        entry = self._entries[key]
        if not (entry.raw or entry.children or entry.pods):
            del self._entries[key]


def version_of(metadata: Json) -> int:
    """The resource version as a number that grows with every change; 0 where it is none.

    Kubernetes promises this order since 1.35, and etcd has always given it.
    """
    version = str(metadata.get("resourceVersion", "0"))
    return int(version) if version.isdecimal() else 0


def _foreign(metadata: Json) -> Json:
    found = kserve.annotations_of(metadata)
    return {"annotations": found} if found else {}


def _slim(kind: str, body: Json) -> Json:
    """A child without its status and its history."""
    metadata = body["metadata"]
    kept = ("name", "namespace", "labels", "ownerReferences")
    slim = {name: metadata[name] for name in kept if name in metadata}
    annotations = metadata.get("annotations") or {}
    slim["annotations"] = {key: annotations[key] for key in annotations if key != _REVISION}
    return {
        # Elements of lists do not say what they are.
        "apiVersion": API_VERSIONS[kind],
        "kind": kind,
        "metadata": slim,
        "spec": body.get("spec") or {},
    }


def _fingerprint(body: Json | None) -> bytes:
    """Differs between bodies that differ; of equal ones it may differ by the order of fields."""
    return hashlib.blake2b(msgspec.json.encode(body), digest_size=16).digest()


def _replicas_owner(metadata: Json) -> ReplicasOwner:
    """Whose `spec.replicas` is; of several owners the one that has to act."""
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
