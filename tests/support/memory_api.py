"""An API server in memory, for tests of what the operator asks of it.

It knows as much of server-side apply as the operator relies on: an object keeps its UID, every
write has a new resource version, and `spec.replicas` has owners. Everything else is replaced.
"""

from __future__ import annotations

import copy
import itertools
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

from inference_operator.errors import ApiError

Body = dict[str, Any]
Where = tuple[str, str, str]


class MemoryApi:
    """Stands in for `ApiClient`.

    Attributes:
        objects: What exists, by kind, namespace and name.
        calls: Every call as its name, the object's kind and its name.
        refuse: Called before each call with the same; what it returns is raised.
        written: Called with every object that was applied, before the answer is given.
    """

    def __init__(self, *existing: Body) -> None:
        self.objects: dict[Where, Body] = {}
        self.calls: list[tuple[str, str, str]] = []
        self.refuse: Callable[[str, str, str], ApiError | None] = lambda *_: None
        self.written: Callable[[Body], None] = lambda _: None
        self._versions = itertools.count(100)
        for body in existing:
            metadata = body["metadata"]
            self.objects[body["kind"], metadata["namespace"], metadata["name"]] = body

    def named(self, call: str) -> list[tuple[str, str]]:
        """Kind and name of the object of every call of this name."""
        return [(kind, name) for made, kind, name in self.calls if made == call]

    def _note(self, call: str, kind: str, name: str) -> None:
        self.calls.append((call, kind, name))
        error = self.refuse(call, kind, name)
        if error is not None:
            raise error

    async def apply(self, manifest: Mapping[str, Any], manager: str, *, force: bool) -> Body:
        kind, metadata = manifest["kind"], manifest["metadata"]
        self._note("apply", kind, metadata["name"])
        where = (kind, metadata["namespace"], metadata["name"])
        before = self.objects.get(where)
        if metadata.get("uid") and (before is None or before["metadata"]["uid"] != metadata["uid"]):
            raise ApiError(409, "uid mismatch", "Conflict")
        body = copy.deepcopy({**(before or {}), **manifest})
        if "spec" in manifest:
            body["spec"] = {**(before or {}).get("spec", {}), **manifest["spec"]}
        body["metadata"] = {
            **(before or {}).get("metadata", {"uid": f"uid of {kind} {metadata['name']}"}),
            **{key: value for key, value in metadata.items() if key != "uid"},
            "resourceVersion": str(next(self._versions)),
        }
        if kind == "Deployment":
            self._own_replicas(before, body, manifest, manager, force=force)
        self.objects[where] = body
        self.written(copy.deepcopy(body))
        return copy.deepcopy(body)

    def _own_replicas(
        self,
        before: Body | None,
        body: Body,
        manifest: Mapping[str, Any],
        manager: str,
        *,
        force: bool,
    ) -> None:
        owners = set() if before is None else owners_of_replicas(before)
        current = (before or {"spec": {}})["spec"].get("replicas", 1)
        asked = manifest["spec"].get("replicas")
        if asked is None:
            owners.discard(manager)
            # A field that its last owner stops applying is reset to its default.
            body["spec"]["replicas"] = current if owners or before is None else 1
        elif asked != current and owners - {manager} and not force:
            raise ApiError(409, f"conflict with {sorted(owners)}", "Conflict")
        else:
            owners = {manager} if asked != current else owners | {manager}
        set_owners_of_replicas(body, *owners)

    def change(self, kind: str, name: str, namespace: str = "vision", **spec: Any) -> Body:
        """Change the spec of an object by hand; returns it as a watch would show it."""
        body = self.objects[kind, namespace, name]
        body["spec"] |= spec
        body["metadata"]["resourceVersion"] = str(next(self._versions))
        return copy.deepcopy(body)

    async def get(self, kind: str, namespace: str, name: str) -> Body | None:
        self._note("get", kind, name)
        return copy.deepcopy(self.objects.get((kind, namespace, name)))

    async def delete(self, kind: str, namespace: str, name: str, uid: str) -> None:
        self._note("delete", kind, name)
        found = self.objects.get((kind, namespace, name))
        if found is not None and found["metadata"]["uid"] == uid:
            del self.objects[kind, namespace, name]

    async def create(self, kind: str, namespace: str, manifest: Mapping[str, Any]) -> Body:
        name = manifest["metadata"]["name"]
        self._note("create", kind, name)
        if (kind, namespace, name) in self.objects:
            raise ApiError(409, f"{name} exists", "AlreadyExists")
        body = copy.deepcopy(dict(manifest))
        body["metadata"] |= {"uid": name, "resourceVersion": str(next(self._versions))}
        self.objects[kind, namespace, name] = body
        return copy.deepcopy(body)

    async def replace(self, kind: str, namespace: str, manifest: Mapping[str, Any]) -> Body:
        name = manifest["metadata"]["name"]
        self._note("replace", kind, name)
        found = self.objects[kind, namespace, name]
        version = manifest["metadata"].get("resourceVersion")
        if version != found["metadata"]["resourceVersion"]:
            raise ApiError(409, f"{name} was modified", "Conflict")
        body = copy.deepcopy(dict(manifest))
        body["metadata"]["resourceVersion"] = str(next(self._versions))
        self.objects[kind, namespace, name] = body
        return copy.deepcopy(body)

    async def patch_status(
        self, namespace: str, name: str, uid: str, patch: Mapping[str, Any]
    ) -> Body | None:
        self._note("patch_status", "InferenceService", name)
        found = self.objects.get(("InferenceService", namespace, name))
        if found is None or found["metadata"]["uid"] != uid:
            return None
        found["status"] = merged(found.get("status") or {}, patch)
        found["metadata"]["resourceVersion"] = str(next(self._versions))
        return copy.deepcopy(found)

    async def list_all(self, kind: str, namespace: str) -> AsyncIterator[tuple[str, list[Body]]]:
        self._note("list", kind, namespace)
        yield str(next(self._versions)), copy.deepcopy(self._in(kind, namespace))

    async def list_metadata(self, kind: str, namespace: str) -> AsyncIterator[Any]:
        self._note("list_metadata", kind, namespace)
        for body in self._in(kind, namespace):
            yield body["metadata"]

    def _in(self, kind: str, namespace: str) -> list[Body]:
        return [
            body
            for (one, where, _), body in self.objects.items()
            if one == kind and namespace in {"", where}
        ]


def owners_of_replicas(body: Body) -> set[str]:
    """Field managers that own `spec.replicas`."""
    return {entry["manager"] for entry in body["metadata"].get("managedFields", [])}


def set_owners_of_replicas(body: Body, *managers: str) -> None:
    """Make these field managers own `spec.replicas`."""
    fields: Body = {"f:spec": {"f:replicas": {}}}
    body["metadata"]["managedFields"] = [
        {"manager": manager, "fieldsV1": fields} for manager in sorted(managers)
    ]


def merged(target: Any, patch: Any) -> Any:
    """A JSON merge patch, applied."""
    if not isinstance(patch, Mapping):
        return patch
    result = dict(target) if isinstance(target, Mapping) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merged(result.get(key), value)
    return result
