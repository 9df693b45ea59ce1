"""Everything observed so far: each InferenceService with its children and pods.

Reconciling reads from here and asks the API server nothing, so a reconcile costs only the calls
that change something. Bodies are kept packed (InferenceServices) or only until they were compared
(children). Anything that no decision needs is dropped on arrival. No IO.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from inference_operator import names
from inference_operator.api import kserve
from inference_operator.api.metadata import inherited_annotations, inherited_labels
from inference_operator.cache.child import Child, read_child
from inference_operator.cache.endpoints import Endpoints, read_endpoints
from inference_operator.cache.observed import (
    DeploymentState,
    Observed,
    PodState,
    read_deployment,
    read_load_balancer,
)
from inference_operator.cache.packing import pack, unpack
from inference_operator.cache.pods import classify
from inference_operator.objects import Json, Key, ObjectRef, controller_of, resource_version


@dataclass(slots=True)
class Entry:
    """Everything known about one InferenceService, which itself may be unknown (`raw` empty)."""

    raw: bytes = b""
    uid: str = ""
    version: int = 0
    generation: int = 0
    children: dict[str, Child] = field(default_factory=dict)
    pods: dict[str, tuple[PodState, int]] = field(default_factory=dict)
    endpoints: dict[str, Endpoints] = field(default_factory=dict)
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
        """Keys of everything known, including children whose InferenceService is unknown."""
        return list(self._entries)

    def versions(self, key: Key) -> dict[ObjectRef, tuple[str, int]]:
        """UID and resource version of every known object of `key`."""
        entry = self._entries.get(key)
        if entry is None:
            return {}
        child = names.predictor(key[1])
        known = {(kind, child): (c.uid, c.version) for kind, c in entry.children.items()}
        known |= {("EndpointSlice", n): (e.uid, e.version) for n, e in entry.endpoints.items()}
        known |= {("Pod", pod.name): (pod.uid, v) for pod, v in entry.pods.values()}
        if entry.raw:
            known["InferenceService", key[1]] = (entry.uid, entry.version)
        return known

    def entry(self, key: Key) -> Entry | None:
        """The entry of `key`, if anything is known."""
        return self._entries.get(key)

    def body(self, key: Key) -> dict[str, Any] | None:
        """Metadata, spec and status of the InferenceService `key`; None when it is unknown."""
        entry = self._entries.get(key)
        if entry is None or not entry.raw:
            return None
        return unpack(entry.raw)

    def observed(self, key: Key) -> Observed:
        """What is known about the children of `key`."""
        entry = self._entries.get(key) or Entry()
        pods = tuple(pod for pod, _ in sorted(entry.pods.values(), key=lambda pair: pair[0].name))
        deployment = entry.deployment if "Deployment" in entry.children else None
        return Observed(deployment, pods, _routed_pods(entry), entry.load_balancer)

    def put_service(self, key: Key, body: Json) -> bool:
        """Store an InferenceService; returns whether it changed."""
        metadata = body["metadata"]
        entry = self._entries.setdefault(key, Entry())
        version = resource_version(metadata)
        if entry.uid == metadata["uid"] and 0 < version <= entry.version:
            return False
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
        return True

    def drop_service(self, key: Key, uid: str) -> None:
        """Forget an InferenceService, unless another one of the same name has replaced it."""
        entry = self._entries.get(key)
        if entry is not None and entry.uid == uid:
            entry.raw, entry.uid, entry.version, entry.generation = b"", "", 0, 0
            self._remove_if_empty(key)

    def put_child(self, key: Key, kind: str, body: Json) -> bool:
        """Store a child; returns whether it changed."""
        metadata = body["metadata"]
        entry = self._entries.setdefault(key, Entry())
        known = entry.children.get(kind)
        version = resource_version(metadata)
        if known is not None and known.uid == metadata["uid"] and 0 < version <= known.version:
            return False
        if metadata.get("name") != names.predictor(key[1]):
            return False
        child = read_child(kind, body)
        owner = controller_of(metadata).get("uid", "")
        # The same string object for all children of a service.
        child.owner_uid = entry.uid if owner == entry.uid else owner
        if known is not None and known.uid == child.uid:
            child.inherit(known)
        entry.children[kind] = child
        if kind == "Deployment":
            entry.deployment = read_deployment(body)
        elif kind == "Service":
            entry.load_balancer = read_load_balancer(body)
        return True

    def drop_child(self, key: Key, kind: str, uid: str) -> bool:
        """Forget a child; returns whether it was known."""
        entry = self._entries.get(key)
        if entry is None or kind not in entry.children or entry.children[kind].uid != uid:
            return False
        del entry.children[kind]
        if kind == "Deployment":
            entry.deployment = None
        elif kind == "Service":
            entry.load_balancer = ""
        self._remove_if_empty(key)
        return True

    def put_endpoints(self, key: Key, body: Json) -> bool:
        """Store an EndpointSlice; returns whether it leads to other pods than before."""
        entry = self._entries.setdefault(key, Entry())
        name, new = body["metadata"]["name"], read_endpoints(body)
        known = entry.endpoints.get(name)
        if known is not None and known.uid == new.uid and 0 < new.version <= known.version:
            return False
        entry.endpoints[name] = new
        return known is None or (known.service_uid, known.pods) != (new.service_uid, new.pods)

    def drop_endpoints(self, key: Key, name: str, uid: str) -> bool:
        """Forget an EndpointSlice; returns whether it was known."""
        entry = self._entries.get(key)
        if entry is None or name not in entry.endpoints or entry.endpoints[name].uid != uid:
            return False
        del entry.endpoints[name]
        self._remove_if_empty(key)
        return True

    def put_pod(self, key: Key, body: Json) -> bool:
        """Store a pod; returns whether anything that matters changed."""
        state = classify(body)
        entry = self._entries.setdefault(key, Entry())
        version = resource_version(body["metadata"])
        known, known_version = entry.pods.get(state.name, (None, 0))
        if known is not None and known.uid == state.uid and 0 < version < known_version:
            return False
        entry.pods[state.name] = (state, version)
        return known != state

    def drop_pod(self, key: Key, name: str) -> bool:
        """Forget a pod; returns whether it was known."""
        entry = self._entries.get(key)
        if entry is None or entry.pods.pop(name, None) is None:
            return False
        self._remove_if_empty(key)
        return True

    def _remove_if_empty(self, key: Key) -> None:
        entry = self._entries[key]
        if not (entry.raw or entry.children or entry.pods or entry.endpoints):
            del self._entries[key]


def _routed_pods(entry: Entry) -> frozenset[str]:
    """Names of the pods that our own Service, and no other of its name, leads to."""
    service = entry.children.get("Service")
    if service is None or service.owner_uid != entry.uid:
        return frozenset()
    slices = (e for e in entry.endpoints.values() if e.service_uid == service.uid)
    return frozenset().union(*(e.pods for e in slices))


def _needed_metadata(metadata: Json) -> Json:
    """Labels and annotations that the children inherit or that configure the service."""
    annotations = inherited_annotations(metadata) | kserve.annotations_of(metadata)
    found = {"labels": inherited_labels(metadata), "annotations": annotations}
    return {name: values for name, values in found.items() if values}
