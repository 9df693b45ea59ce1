"""Determines who owns an existing object, and why a child could not be applied. Pure."""

from __future__ import annotations

from inference_operator import names
from inference_operator.api.types import InferenceService
from inference_operator.cache.ownership import is_controlled_by
from inference_operator.errors import ApiError, ApiFailure, ChildConflictError, ChildRejectedError
from inference_operator.objects import Json, ObjectRef, controller_of


def is_ours(existing: Json | None, service: InferenceService) -> bool:
    """Whether an object is controlled by `service`, was ours and lost its owner, or is handed over.

    `kubectl delete --cascade=orphan` and some backup tools remove owner references. An object
    without a controller was ours if the operator's field manager applied it, and it has both a
    manifest digest and the labels, a combination that only the operator writes.
    """
    if existing is None:
        return False
    metadata = existing["metadata"]
    if controller_of(metadata):
        return is_controlled_by(metadata, service.uid)
    annotations = metadata.get("annotations") or {}
    if annotations.get(names.ANNOTATION_ADOPT) == service.name:
        return True
    labels = metadata.get("labels") or {}
    applied = any(
        entry.get("manager") == names.FIELD_MANAGER and entry.get("operation") == "Apply"
        for entry in metadata.get("managedFields") or ()
    )
    return (
        applied
        and names.ANNOTATION_APPLIED in annotations
        and names.labels(service.name).items() <= labels.items()
    )


def conflict(ref: ObjectRef, service: InferenceService, existing: Json | None) -> Exception:
    """Build the error for a child whose name is taken by `existing`."""
    kind, name = ref
    if existing is None:
        return ApiError(409, f"{kind} {name} was deleted just now")
    metadata = existing["metadata"]
    owner = controller_of(metadata)
    group = str(owner.get("apiVersion", "")).rpartition("/")[0]
    if owner.get("kind") == names.KIND and group == names.GROUP and owner["name"] == service.name:
        # Left over from a deleted InferenceService of this name; the garbage collector removes it.
        return ApiError(409, f"{kind} {name} of an earlier {names.KIND} {_deletion(metadata)}")
    whose = f"{owner['kind']}{f'.{group}' if group else ''} {owner['name']}" if owner else "nobody"
    advice = f"delete it, or give the {names.KIND} another name"
    if owner.get("kind") == names.KIND:
        advice = f"see docs/migrate-from-kserve.md, or give the {names.KIND} another name"
    return ChildConflictError(f"the {kind} {name} already exists and belongs to {whose}: {advice}")


def _deletion(metadata: Json) -> str:
    since = metadata.get("deletionTimestamp")
    finalizers = ", ".join(metadata.get("finalizers") or ())
    waits = f" and waits for its finalizers: {finalizers}" if since and finalizers else ""
    return f"is still being deleted{f' since {since}' if since else ''}{waits}"


def explain(error: ApiError, ref: ObjectRef) -> Exception:
    """Build the error for a child that the API server rejected."""
    kind, name = ref
    message = f"the {kind} {name} is refused: {error.message}"
    match error.failure:
        case ApiFailure.INVALID:
            return ChildRejectedError("InvalidSpec", message, may_pass=False)
        case ApiFailure.POLICY_REFUSED:
            return ChildRejectedError("PolicyRefused", message, may_pass=True)
        case ApiFailure.QUOTA_EXCEEDED:
            return ChildRejectedError("QuotaExceeded", message, may_pass=True)
        case ApiFailure.FORBIDDEN:
            return ChildRejectedError("Forbidden", message, may_pass=True)
        case _:
            return error
