"""Compares an object with the manifest that was applied to it.

Server-side apply owns only the fields that were sent, so only those are compared; additions by
others (a sidecar, an annotation) are ignored. The API server may store a value in another form
(`0.5` as `500m`); the form in its response is accepted. Pure.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

# Fields that identify an element of a list of objects, like Kubernetes' own merge keys.
_KEYS = ("name", "uid", "mountPath", "containerPort", "port", "ip", "topologyKey")
# Objects that server-side apply owns as a whole: an additional key is a change.
_ATOMIC = frozenset(
    {
        "selector",
        "nodeSelector",
        "labelSelector",
        "namespaceSelector",
        "secretKeyRef",
        "configMapKeyRef",
        "fieldRef",
    }
)
_ABSENT = "<absent>"
_EMPTY = ("", 0, False, None)


def digest(value: object) -> bytes:
    """Return a 16-byte digest of a JSON value, independent of key order."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return hashlib.blake2b(text.encode(), digest_size=16).digest()


def project(desired: object, observed: object) -> object:
    """Reduce `observed` to the fields of `desired`; missing fields are marked as absent."""
    if isinstance(desired, Mapping):
        if not isinstance(observed, Mapping):
            return _ABSENT
        return {
            key: observed.get(key, _ABSENT)
            if key in _ATOMIC
            else project(value, observed.get(key, _ABSENT))
            for key, value in desired.items()
        }
    if isinstance(desired, (list, tuple)):
        if not isinstance(observed, list):
            return _ABSENT
        return _project_list(desired, observed)
    # The API server drops empty values.
    if observed == _ABSENT and desired in _EMPTY:
        return desired
    return observed


def _project_list(desired: list[Any] | tuple[Any, ...], observed: list[Any]) -> object:
    key = _merge_key(desired)
    if key is None:
        # Without a key the list is replaced as a whole, so an additional element is a change.
        if len(desired) != len(observed):
            return _ABSENT
        return [project(a, b) for a, b in zip(desired, observed, strict=True)]
    by_key = {_key_of(item, key): item for item in observed}
    return [project(item, by_key.get(item[key], _ABSENT)) for item in desired]


def _merge_key(items: list[Any] | tuple[Any, ...]) -> str | None:
    """Return the key that identifies the elements, or None if only their position does."""
    for key in _KEYS:
        values = {_key_of(item, key) for item in items}
        if items and None not in values and len(values) == len(items):
            return key
    return None


def _key_of(item: object, key: str) -> str | int | None:
    value = item.get(key) if isinstance(item, Mapping) else None
    return value if isinstance(value, (str, int)) else None


def matches(desired: object, observed: object) -> bool:
    """Whether `observed` has every field of `desired` with the same value.

    Equivalent to `project(desired, observed) == desired`, without building the projection.
    """
    # Fast path: most values are equal.
    if desired == observed:
        return True
    if isinstance(desired, Mapping):
        if not isinstance(observed, dict):
            return False
        return all(
            _plain(value) == observed.get(key, _ABSENT)
            if key in _ATOMIC
            else matches(value, observed.get(key, _ABSENT))
            for key, value in desired.items()
        )
    if isinstance(desired, (list, tuple)):
        return isinstance(observed, list) and _list_matches(desired, observed)
    return observed == _ABSENT and desired in _EMPTY


def _list_matches(desired: list[Any] | tuple[Any, ...], observed: list[Any]) -> bool:
    key = _merge_key(desired)
    if key is None:
        if len(desired) != len(observed):
            return False
        return all(map(matches, desired, observed))
    by_key = {_key_of(item, key): item for item in observed}
    return all(matches(item, by_key.get(item[key], _ABSENT)) for item in desired)


def _plain(value: object) -> object:
    """Convert tuples and mappings to lists and dicts."""
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value
