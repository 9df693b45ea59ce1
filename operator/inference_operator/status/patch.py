"""JSON merge patches (RFC 7396), so that a status write sends only what changed. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from inference_operator.objects import Json, Manifest


def merge_patch(before: Json, after: Json) -> Manifest:
    """Return the smallest merge patch that turns `before` into `after`; {} if they are equal."""
    patch: Manifest = {key: None for key in before if key not in after}
    for key, value in after.items():
        old = before.get(key)
        if isinstance(old, Mapping) and isinstance(value, Mapping):
            if old != value:
                patch[key] = merge_patch(old, value)
        elif key not in before or old != value:
            patch[key] = value
    return patch
