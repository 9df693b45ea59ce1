"""What can go wrong with a resource, as types that carry the reason a user will read.

    OperatorError
    |-- SpecError        a field of the InferenceService is wrong
    |-- ChildConflictError    an object with the child's name belongs to somebody else
    |-- ChildRejectedError    the API server refused a child built from the spec
    |-- StuckError       the API server keeps failing to do what it is asked
    |-- ApiError         the API server answered with an error
    |   `-- ApiUnavailableError   it could not be reached, or asked to come again later
    |-- WatchEndedError  InferenceServices cannot be watched any more
    `-- ConfigError      a setting of the operator itself is wrong

Messages name the field or the object, say what is wrong and what to do. Nothing here logs.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class OperatorError(Exception):
    """Base of everything that the operator raises on purpose."""


class ConfigError(OperatorError):
    """A setting of the operator is missing or wrong; the message names the variable."""


class WatchEndedError(OperatorError):
    """The operator cannot watch its resource any more, and ends; the message says what to do."""


class StatusError(OperatorError):
    """An error that is shown to the user in the status of the InferenceService.

    `may_pass` says that the cause lies outside of the resource (a quota, a name that is taken), so
    that trying again makes sense without any change of the resource.
    """

    reason = "ReconcileFailed"
    may_pass = False

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class SpecError(StatusError):
    """A field of the resource is wrong.

    Args:
        field: path of the field, as `spec.predictor.minReplicas`.
        problem: what is wrong and what to do.
    """

    reason = "InvalidSpec"

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(f"{field}: {problem}")
        self.field = field


class ChildConflictError(StatusError):
    """An object with the name of a child exists and belongs to somebody else."""

    reason = "NameTaken"
    may_pass = True


class ChildRejectedError(StatusError):
    """The API server refused a child: as invalid, or because of a quota or a policy."""

    def __init__(self, reason: str, message: str, *, may_pass: bool) -> None:
        super().__init__(message)
        self.reason = reason
        self.may_pass = may_pass


class StuckError(StatusError):
    """The API server has failed to do what it was asked several times in a row."""

    may_pass = True


class Failure(Enum):
    """What an error of the API server means for the operator."""

    UNAVAILABLE = "unreachable, overloaded, or failing"
    NAMESPACE_GONE = "the namespace is being deleted or does not exist"
    NOT_FOUND = "the object does not exist"
    CONFLICT = "somebody else changed or owns it"
    EXPIRED = "the resource version is too old to watch from"
    INVALID = "the object is refused as it is"
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
        message: The server's own words.
        reason: Kubernetes' machine-readable reason, such as `Conflict`.
        retry_after_s: Seconds after which the server wants to be asked again.
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
    """The API server could not be reached, was overloaded, or asked to come again later."""


class NotLeadingError(ApiError):
    """A write was not sent, because another replica may have taken over."""

    def __init__(self) -> None:
        super().__init__(0, "this replica does not lead any more")
        self.failure = Failure.NOT_LEADING


_BY_STATUS = {
    400: Failure.INVALID,
    403: Failure.FORBIDDEN,
    404: Failure.NOT_FOUND,
    409: Failure.CONFLICT,
    410: Failure.EXPIRED,
    422: Failure.INVALID,
    429: Failure.UNAVAILABLE,
}


def _classify(status: int, message: str, details: ErrorDetails) -> Failure:
    missing = status == 404 and details.kind == "namespaces"
    if missing or "NamespaceTerminating" in details.causes:
        return Failure.NAMESPACE_GONE
    if status == 403 and mentions_quota(message):
        return Failure.QUOTA_EXCEEDED
    if status == 0 or status >= 500:
        return Failure.UNAVAILABLE
    return _BY_STATUS.get(status, Failure.OTHER)


def mentions_quota(message: str) -> bool:
    """Whether a refusal comes from a ResourceQuota.

    Kubernetes gives such a refusal neither a reason nor a cause of its own, only these words
    (`k8s.io/apiserver/pkg/admission/plugin/resourcequota`).
    """
    return "exceeded quota: " in message or "failed quota: " in message
