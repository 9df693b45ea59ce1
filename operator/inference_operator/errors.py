"""What can go wrong with a resource, as types that carry the reason a user will read.

    OperatorError
    |-- SpecError        a field of the InferenceService is wrong
    |-- ChildConflictError    an object with the child's name belongs to somebody else
    |-- ChildRejectedError    the API server refused a child built from the spec
    |-- StuckError       the API server keeps failing to do what it is asked
    |-- ApiError         the API server answered with an error
    |   `-- ApiUnavailableError   it could not be reached, or asked to come again later
    `-- ConfigError      a setting of the operator itself is wrong

Messages name the field or the object, say what is wrong and what to do. Nothing here logs.
"""

from __future__ import annotations


class OperatorError(Exception):
    """Base of everything that the operator raises on purpose."""


class ConfigError(OperatorError):
    """A setting of the operator is missing or wrong; the message names the variable."""


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


class DeletionPendingError(StatusError):
    """The resource is being deleted and waits for finalizers of others."""

    reason = "Terminating"

    def __init__(self, since: str, finalizers: list[str]) -> None:
        super().__init__(
            f"being deleted since {since}; it stays until these finalizers are removed by whoever "
            f"set them: {', '.join(finalizers)}"
        )


class ApiError(OperatorError):
    """The API server answered with an error.

    Args:
        status: HTTP status.
        message: the server's own words.
        reason: Kubernetes' machine-readable reason, such as `Conflict`.
        retry_after_s: seconds after which the server wants to be asked again.
    """

    def __init__(
        self, status: int, message: str, reason: str = "", retry_after_s: float | None = None
    ) -> None:
        super().__init__(f"the API server answered {status} {reason}: {message}")
        self.status = status
        self.message = message
        self.reason = reason
        self.retry_after_s = retry_after_s


class ApiUnavailableError(ApiError):
    """The API server could not be reached, was overloaded, or asked to come again later."""
