"""Kubernetes objects as JSON: the types used for them and the metadata that every object has."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Json = Mapping[str, Any]
Manifest = dict[str, Any]

Key = tuple[str, str]
"""Namespace and name of an InferenceService."""

ObjectRef = tuple[str, str]
"""Kind and name of an object in the namespace of its InferenceService."""


def find_condition(status: Json, kind: str) -> Json:
    """The condition of type `kind` in a status, empty when there is none."""
    return next((c for c in status.get("conditions") or () if c.get("type") == kind), {})


def controller_of(metadata: Json) -> Json:
    """The owner reference of an object's controller, empty when it has none."""
    for owner in metadata.get("ownerReferences") or ():
        if owner.get("controller"):
            return dict(owner)
    return {}


def resource_version(metadata: Json) -> int:
    """The resource version as a number that grows with every change; 0 if it is not a number.

    Kubernetes guarantees this order since 1.35; etcd has always provided it.
    """
    version = str(metadata.get("resourceVersion", "0"))
    return int(version) if version.isdecimal() else 0
