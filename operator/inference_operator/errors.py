"""The operator's errors; those about a resource carry the reason that its status shows.

    OperatorError
    |-- ConfigError                a setting or file of the operator is wrong
    |-- WatchEndedError            InferenceServices cannot be watched any more
    |-- StatusError                shown in the status of the InferenceService
    |   |-- SpecError              a field of the InferenceService is wrong
    |   |-- ChildConflictError     an object with a child's name belongs to somebody else
    |   |-- ChildRejectedError     the API server refuses a child
    |   `-- StuckError             the API server keeps failing
    `-- ApiError                   the API server answered with an error
        `-- ApiUnavailableError    it could not be reached, or is overloaded

Messages name the field or the object, say what is wrong and what to do.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class OperatorError(Exception):
    """Base class of all errors that the operator raises."""


class ConfigError(OperatorError):
    """A setting or file of the operator is wrong; the message names it."""


class WatchEndedError(OperatorError):
    """The operator cannot watch its resource any more, and ends; the message says what to do."""


class StatusError(OperatorError):
    """An error that the status of the InferenceService shows.

    `may_pass` means that the cause is outside of the resource (a quota, a name that is taken), so
    that it is worth retrying without a change of the resource.
    """

    reason = "ReconcileFailed"
    may_pass = False

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class SpecError(StatusError):
    """A field of the resource is wrong.

    Args:
        field: Path of the field, such as `spec.predictor.minReplicas`.
        problem: What is wrong and what to do.
    """

    reason = "InvalidSpec"

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(f"{field}: {problem}")
        self.field = field


class ChildConflictError(StatusError):
    """An object with the name of a child belongs to somebody else."""

    reason = "NameTaken"
    may_pass = True


class ChildRejectedError(StatusError):
    """The API server refuses a child: as invalid, or because of a quota or a policy."""

    def __init__(self, reason: str, message: str, *, may_pass: bool) -> None:
        super().__init__(message)
        self.reason = reason
        self.may_pass = may_pass


class StuckError(StatusError):
    """The API server has failed several times in a row."""

    may_pass = True


class DeletionPendingError(StatusError):
    """The resource is being deleted and waits for finalizers of others."""

    reason = "Terminating"

    def __init__(self, since: str, finalizers: list[str]) -> None:
        super().__init__(
            f"being deleted since {since}; it stays until these finalizers are removed by whoever "
            f"set them: {', '.join(finalizers)}"
        )


class ApiFailure(Enum):
    """What an error of the API server means for the operator."""

    UNAVAILABLE = "unreachable, overloaded, or failing"
    NAMESPACE_GONE = "the namespace is being deleted or does not exist"
    NOT_FOUND = "the object does not exist"
    CONFLICT = "somebody else changed or owns it"
    EXPIRED = "the resource version is too old to watch from"
    INVALID = "the object is refused as it is"
    POLICY_REFUSED = "an admission policy or webhook denies it"
    QUOTA_EXCEEDED = "a quota does not allow it"
    FORBIDDEN = "RBAC or a policy does not allow it"
    NOT_LEADING = "this replica may not write"
    OTHER = "anything else"


@dataclass(frozen=True)
class ErrorDetails:
    """The machine-readable part of an error.

    Attributes:
        kind: Plural of the resource that the error is about, such as `namespaces`.
        causes: Reasons of the single causes, such as `NamespaceTerminating`.
    """

    kind: str = ""
    causes: tuple[str, ...] = ()


NO_DETAILS = ErrorDetails()


class ApiError(OperatorError):
    """The API server answered with an error.

    Args:
        status: HTTP status; 0 when there was no answer.
        message: The server's message.
        reason: Kubernetes' machine-readable reason, such as `Conflict`.
        retry_after_s: Seconds after which the server asks to retry.
        details: Kubernetes' machine-readable details.
    """

    def __init__(
        self,
        status: int,
        message: str,
        reason: str = "",
        retry_after_s: float | None = None,
        details: ErrorDetails = NO_DETAILS,
    ) -> None:
        super().__init__(f"the API server answered {status} {reason}: {message}")
        self.status = status
        self.message = message
        self.reason = reason
        self.retry_after_s = retry_after_s
        self.failure = _classify(status, message, details)


class ApiUnavailableError(ApiError):
    """The API server could not be reached, or is overloaded."""


class NotLeadingError(ApiError):
    """A write was not sent, because another replica may have taken over."""

    def __init__(self) -> None:
        super().__init__(0, "this replica does not lead any more")
        self.failure = ApiFailure.NOT_LEADING


_BY_STATUS = {
    400: ApiFailure.INVALID,
    403: ApiFailure.FORBIDDEN,
    404: ApiFailure.NOT_FOUND,
    409: ApiFailure.CONFLICT,
    410: ApiFailure.EXPIRED,
    422: ApiFailure.INVALID,
    429: ApiFailure.UNAVAILABLE,
}


def _classify(status: int, message: str, details: ErrorDetails) -> ApiFailure:
    missing = status == 404 and details.kind == "namespaces"
    if missing or "NamespaceTerminating" in details.causes:
        return ApiFailure.NAMESPACE_GONE
    if status == 403 and mentions_quota(message):
        return ApiFailure.QUOTA_EXCEEDED
    if status in {400, 422} and mentions_denial(message):
        return ApiFailure.POLICY_REFUSED
    if status == 0 or status >= 500:
        return ApiFailure.UNAVAILABLE
    return _BY_STATUS.get(status, ApiFailure.OTHER)


def mentions_denial(message: str) -> bool:
    """Whether a refusal comes from a ValidatingAdmissionPolicy or a webhook.

    Both may answer with the status of the API's own validation and have only these words of their
    own (`k8s.io/apiserver/pkg/admission/plugin/{policy/validating,webhook/errors}`).
    """
    return " denied request: " in message or " denied the request" in message


def mentions_quota(message: str) -> bool:
    """Whether a refusal comes from a ResourceQuota.

    Kubernetes gives such a refusal neither a reason nor a cause of its own, only these words
    (`k8s.io/apiserver/pkg/admission/plugin/resourcequota`).
    """
    return "exceeded quota: " in message or "failed quota: " in message
