"""Why a child could not be applied, as an error that the status reports. Pure."""

from __future__ import annotations

from inference_operator import names
from inference_operator.api.types import InferenceService
from inference_operator.errors import ApiError, ChildConflictError, ChildRejectedError
from inference_operator.objects import Json, ObjectRef, controller_of


def is_ours(existing: Json | None, service: InferenceService) -> bool:
    """Whether an object is controlled by `service`."""
    return existing is not None and controller_of(existing["metadata"]).get("uid") == service.uid


def conflict(ref: ObjectRef, service: InferenceService, existing: Json | None) -> Exception:
    """The error for a child whose name is taken by `existing`."""
    kind, name = ref
    owner = controller_of(existing["metadata"]) if existing else {}
    former = owner.get("kind") == names.KIND and owner.get("name") == service.name
    if existing is None or former:
        # Left by a deleted InferenceService of this name; the garbage collector removes it.
        return ApiError(409, f"{kind} {name} of an earlier resource is still being deleted")
    whose = f"{owner['kind']} {owner['name']}" if owner else "nobody"
    return ChildConflictError(
        f"a {kind} called {name} exists already and belongs to {whose}: delete it, or give "
        "the InferenceService another name"
    )


def explain(error: ApiError, ref: ObjectRef) -> Exception:
    """The error for a child that the API server refused."""
    kind, name = ref
    message = f"the {kind} {name} is refused: {error.message}"
    if error.status in {400, 422}:
        return ChildRejectedError("InvalidSpec", message, may_pass=False)
    if error.status == 403 and "being terminated" not in error.message:
        quota = "exceeded quota" in error.message or "failed quota" in error.message
        reason = "QuotaExceeded" if quota else "Forbidden"
        return ChildRejectedError(reason, message, may_pass=True)
    return error
