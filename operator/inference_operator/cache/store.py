"""Everything observed so far: each InferenceService with its children and pods.

Reconciling reads from this store instead of the API server, so a reconcile costs only the calls
that change something. Bodies are kept packed (InferenceServices) or only until they have been
compared (children). Data that no decision needs is dropped on arrival, and so is every object whose
owner is not a known InferenceService: forged labels must not fill the memory. No IO.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from inference_operator import names
from inference_operator.api import kserve
from inference_operator.api.metadata import (
    inherited_annotations,
    inherited_labels,
    own_annotations,
)
from inference_operator.cache.child import Child, read_child
from inference_operator.cache.endpoints import Endpoints, read_endpoints, service_of
from inference_operator.cache.missed import Missed
from inference_operator.cache.observed import Observed, PodState
from inference_operator.cache.ownership import deployment_of, is_controlled_by
from inference_operator.cache.packing import pack, unpack
from inference_operator.cache.pods import classify
from inference_operator.cache.written import WrittenStatus
from inference_operator.objects import Json, Key, ObjectRef, find_condition, resource_version

Version = tuple[str, int]
"""UID and resource version."""

_SLICE = "EndpointSlice"
# Maximum number of remembered objects that have the name of a child and another owner.
MAXIMUM_FOREIGN = 16


@dataclass(slots=True)
class Entry:
    """Everything known about one InferenceService.

    Attributes:
        raw: The packed resource; empty when it is unknown, as after its deletion.
        uid: Its UID.
        version: Its resource version.
        generation: Its generation.
        ready: Status and reason of its Ready condition.
        written: The status that this operator last wrote.
        children: Objects that it controls.
        pods: Pods of its Deployments and their resource versions, by name.
        foreign: Objects that have the name of a child and another owner.
    """

    raw: bytes = b""
    uid: str = ""
    version: int = 0
    generation: int = 0
    metadata_hash: int = 0
    ready: tuple[str, str] = ("", "")
    written: WrittenStatus = field(default_factory=WrittenStatus)
    children: dict[ObjectRef, Child] = field(default_factory=dict)
    pods: dict[str, tuple[PodState, int]] = field(default_factory=dict)
    endpoints: dict[str, Endpoints] = field(default_factory=dict)
    foreign: dict[ObjectRef, Version] = field(default_factory=dict)


class Store:
    """All entries, by namespace and name."""

    def __init__(self) -> None:
        self._entries: dict[Key, Entry] = {}
        self.missed = Missed()

    def __len__(self) -> int:
        return sum(1 for entry in self._entries.values() if entry.raw)

    def services(self) -> Iterator[Key]:
        """Keys of all known InferenceServices."""
        return (key for key, entry in list(self._entries.items()) if entry.raw)

    def readiness(self) -> Iterator[tuple[Key, str, str]]:
        """Every known InferenceService with the status and reason of its Ready condition."""
        return ((key, *entry.ready) for key, entry in list(self._entries.items()) if entry.raw)

    def written(self, key: Key) -> WrittenStatus:
        """The status that was last written to the InferenceService `key`."""
        entry = self._entries.get(key)
        return entry.written if entry else WrittenStatus()

    def all_keys(self) -> list[Key]:
        """Keys of everything known, including those of deleted InferenceServices."""
        return list(self._entries)

    def versions(self, key: Key) -> dict[ObjectRef, Version]:
        """UID and resource version of every known object of `key`."""
        entry = self._entries.get(key)
        if entry is None:
            return {}
        known = {ref: (child.uid, child.version) for ref, child in entry.children.items()}
        known |= entry.foreign
        known |= {(_SLICE, name): (e.uid, e.version) for name, e in entry.endpoints.items()}
        known |= {("Pod", pod.name): (pod.uid, version) for pod, version in entry.pods.values()}
        if entry.raw:
            known[names.KIND, key[1]] = (entry.uid, entry.version)
        return known

    def entry(self, key: Key) -> Entry | None:
        """The entry of `key`, if anything is known."""
        return self._entries.get(key)

    def child(self, key: Key, ref: ObjectRef) -> Child | None:
        """One child of `key`, if it is known."""
        entry = self._entries.get(key)
        return entry.children.get(ref) if entry else None

    def children(self, key: Key) -> dict[ObjectRef, Child]:
        """All known children of `key`."""
        entry = self._entries.get(key)
        return dict(entry.children) if entry else {}

    def is_foreign(self, key: Key, ref: ObjectRef) -> bool:
        """Whether the name of a child is taken by an object with another owner."""
        entry = self._entries.get(key)
        return entry is not None and ref in entry.foreign

    def body(self, key: Key) -> dict[str, Any] | None:
        """Metadata, spec and status of the InferenceService `key`; None when it is unknown."""
        entry = self._entries.get(key)
        if entry is None or not entry.raw:
            return None
        return unpack(entry.raw)

    def observed(self, key: Key) -> Observed:
        """Observed state of the children of `key`, and the pods of its Deployments."""
        entry = self._entries.get(key) or Entry()
        deployments = {
            name: child.deployment
            for (_, name), child in entry.children.items()
            if child.deployment is not None
        }
        load_balancers = {
            name: child.load_balancer
            for (_, name), child in entry.children.items()
            if child.load_balancer
        }
        pods = sorted((pod for pod, _ in entry.pods.values()), key=lambda pod: pod.name)
        revisions = (child.revision for child in entry.children.values() if child.revision)
        return Observed(
            deployments,
            tuple(pod for pod in pods if pod.deployment in deployments),
            load_balancers,
            _routed_pods(entry),
            tuple(sorted(revisions, key=lambda revision: revision.number)),
        )

    def put_service(self, key: Key, body: Json) -> bool:
        """Store an InferenceService; returns whether it changed."""
        metadata = body["metadata"]
        entry = self._entries.setdefault(key, Entry())
        version = resource_version(metadata)
        if entry.uid == metadata["uid"] and 0 < version <= entry.version:
            return False
        if entry.uid and entry.uid != metadata["uid"]:
            self._disown(key, entry)
            entry.written = WrittenStatus()
        elif not entry.uid:
            # Their owner is known only now: they are read again before anything is decided.
            for ref in entry.foreign:
                self.missed.add(key, ref)
            entry.foreign = {}
        kept = ("name", "namespace", "uid", "generation", "deletionTimestamp", "finalizers")
        reduced = {
            "metadata": {
                **{name: metadata[name] for name in kept if name in metadata},
                **_needed_metadata(metadata),
            },
            "spec": body.get("spec") or {},
            "status": body.get("status") or {},
        }
        entry.raw = pack(reduced)
        entry.uid, entry.version = metadata["uid"], version
        entry.generation = metadata.get("generation", 0)
        # Labels and annotations matter like the spec, but do not raise the generation.
        entry.metadata_hash = hash(repr(_needed_metadata(metadata)))
        ready = find_condition(reduced["status"], "Ready")
        entry.ready = (sys.intern(ready.get("status", "")), sys.intern(ready.get("reason", "")))
        return True

    def drop_service(self, key: Key, uid: str) -> None:
        """Forget an InferenceService unless another one of the same name has replaced it."""
        entry = self._entries.get(key)
        if entry is not None and entry.uid == uid:
            entry.raw, entry.uid, entry.version, entry.generation = b"", "", 0, 0
            self._disown(key, entry)
            self._remove_if_empty(key)

    def _disown(self, key: Key, entry: Entry) -> None:
        """Forget the children of a former InferenceService, except that their names are taken."""
        former = {ref: (child.uid, child.version) for ref, child in entry.children.items()}
        entry.foreign = dict([*entry.foreign.items(), *former.items()][-MAXIMUM_FOREIGN:])
        for name in entry.pods:
            self.missed.add(key, ("Pod", name))
        for name in entry.endpoints:
            self.missed.add(key, (_SLICE, name))
        entry.children, entry.pods, entry.endpoints = {}, {}, {}

    def keeps(self, key: Key, kind: str, metadata: Json) -> bool:
        """Whether an object with this metadata would be stored under `key`."""
        entry = self._entries.get(key)
        if kind == names.KIND:
            return True
        if entry is None or not entry.raw:
            return False
        if kind == "Pod":
            return names.is_child_name(key[1], deployment_of(metadata))
        if kind == _SLICE:
            return names.is_child_name(key[1], service_of(metadata))
        return names.is_child_name(key[1], metadata["name"]) and is_controlled_by(
            metadata, entry.uid
        )

    def put(self, key: Key, kind: str, body: Json) -> bool:
        """Store a child or a pod of `key`; returns whether anything that matters changed.

        If the InferenceService is unknown, only the object's name is recorded.
        """
        entry = self._entries.get(key)
        if entry is None or not entry.raw:
            self.missed.add(key, (kind, body["metadata"]["name"]))
            return False
        if kind == "Pod":
            return self._put_pod(key, entry, body)
        if kind == _SLICE:
            return self._put_endpoints(key, entry, body)
        return self._put_child(key, entry, kind, body)

    def drop(self, key: Key, ref: ObjectRef, uid: str) -> bool:
        """Forget the child or pod `ref`; returns whether it was known under this UID."""
        self.missed.discard(key, ref)
        entry = self._entries.get(key)
        if entry is None:
            return False
        kind, name = ref
        known = False
        if kind == "Pod":
            pod, _ = entry.pods.get(name, (None, 0))
            known = pod is not None and pod.uid == uid
            if known:
                del entry.pods[name]
        elif kind == _SLICE:
            known = name in entry.endpoints and entry.endpoints[name].uid == uid
            if known:
                del entry.endpoints[name]
        elif ref in entry.children and entry.children[ref].uid == uid:
            known = True
            del entry.children[ref]
        elif ref in entry.foreign and entry.foreign[ref][0] == uid:
            known = True
            del entry.foreign[ref]
        if known:
            self._remove_if_empty(key)
        return known

    def lose(self, key: Key, ref: ObjectRef, uid: str) -> bool:
        """Record a deletion by another client; returns whether the child was known under this UID.

        A ControllerRevision is kept and marked out of sync so that it is written again, as it is
        the only record of its pods' template. The operator's own deletions were dropped earlier.
        """
        entry = self._entries.get(key)
        child = entry.children.get(ref) if entry else None
        if child is None or child.revision is None or child.uid != uid:
            return self.drop(key, ref, uid)
        child.uid, child.version, child.body, child.in_sync_with = "", 0, None, b""
        return True

    def _put_child(self, key: Key, entry: Entry, kind: str, body: Json) -> bool:
        metadata = body["metadata"]
        ref = (kind, metadata["name"])
        uid, version = metadata["uid"], resource_version(metadata)
        if not names.is_child_name(key[1], ref[1]):
            return False
        if not is_controlled_by(metadata, entry.uid):
            return self._put_foreign(entry, ref, (uid, version))
        known = entry.children.get(ref)
        if known is not None and known.uid == uid and 0 < version <= known.version:
            return False
        child = read_child(kind, body)
        if known is not None and known.uid == uid:
            child.inherit(known)
        entry.foreign.pop(ref, None)
        # All children of a service usually share a name; store the string only once.
        shared = next((name for _, name in entry.children if name == ref[1]), ref[1])
        entry.children[kind, shared] = child
        return True

    def _put_foreign(self, entry: Entry, ref: ObjectRef, version: Version) -> bool:
        """Record that the name of a child is taken; returns whether that is new."""
        was_ours = entry.children.pop(ref, None) is not None
        if ref not in entry.foreign and len(entry.foreign) >= MAXIMUM_FOREIGN:
            return was_ours
        known_uid, _ = entry.foreign.get(ref, ("", 0))
        entry.foreign[ref] = version
        return was_ours or known_uid != version[0]

    def _put_endpoints(self, key: Key, entry: Entry, body: Json) -> bool:
        metadata = body["metadata"]
        name, new = metadata["name"], read_endpoints(body)
        if not names.is_child_name(key[1], service_of(metadata)):
            return self.drop(key, (_SLICE, name), new.uid)
        known = entry.endpoints.get(name)
        if known is not None and known.uid == new.uid and 0 < new.version <= known.version:
            return False
        entry.endpoints[name] = new
        return known is None or (known.service_uid, known.pods) != (new.service_uid, new.pods)

    def find_pod(self, namespace: str, name: str, uid: str) -> Key | None:
        """Return the service that a pod was stored for, regardless of its current labels."""
        for key, entry in self._entries.items():
            if key[0] == namespace and name in entry.pods and entry.pods[name][0].uid == uid:
                return key
        return None

    def _put_pod(self, key: Key, entry: Entry, body: Json) -> bool:
        metadata = body["metadata"]
        deployment = deployment_of(metadata)
        if not names.is_child_name(key[1], deployment):
            # A ReplicaSet releases a pod that no longer matches its selector.
            return self.drop(key, ("Pod", metadata["name"]), metadata["uid"])
        shared = next((name for _, name in entry.children if name == deployment), deployment)
        state = classify(body, shared)
        version = resource_version(metadata)
        known, known_version = entry.pods.get(state.name, (None, 0))
        if known is not None and known.uid == state.uid and 0 < version < known_version:
            return False
        entry.pods[state.name] = (state, version)
        return known != state

    def _remove_if_empty(self, key: Key) -> None:
        entry = self._entries[key]
        if not (entry.raw or entry.children or entry.pods or entry.endpoints or entry.foreign):
            del self._entries[key]


def _needed_metadata(metadata: Json) -> Json:
    """Return labels and annotations that children inherit or that configure the service."""
    annotations = inherited_annotations(metadata) | kserve.annotations_of(metadata)
    annotations |= own_annotations(metadata)
    found = {"labels": inherited_labels(metadata), "annotations": annotations}
    return {name: values for name, values in found.items() if values}


def _routed_pods(entry: Entry) -> dict[str, frozenset[str]]:
    """Return the pods that each of our Services sends requests to, by Service name."""
    uids = {c.uid: name for (kind, name), c in entry.children.items() if kind == "Service"}
    routed: dict[str, frozenset[str]] = {}
    for endpoints in entry.endpoints.values():
        if endpoints.service_uid in uids:
            name = uids[endpoints.service_uid]
            routed[name] = routed.get(name, frozenset()) | endpoints.pods
    return routed
