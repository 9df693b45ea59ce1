"""Every failure that a user can cause, as a type with an HTTP status and a stable code.

Two families, because they reach people in two ways. A `RequestError` becomes a JSON answer; a
`StartupError` becomes one line on stderr and in the container's termination message. Nothing here
knows Flask: `http` and `grpc` turn these into responses.

    ModelServerError
    |-- RequestError            (status, code, headers)
    |   |-- InvalidRequest 400, InvalidImage 400, MissingImage 400, WrongTask 400
    |   |-- UnsupportedMediaType 415, NotAcceptable 406
    |   |-- PayloadTooLarge 413, ImageTooLarge 413
    |   |-- UnknownModel 404, UnknownPath 404, MethodNotAllowed 405
    |   |-- Overloaded 503, DeadlineExceeded 504, BodyTooSlow 408, ClientGone 499
    |   `-- InferenceFailed 500
    `-- StartupError            (reason)
        |-- InvalidSettings, InvalidModel, ModelCrashed, WarmUpFailed, GoldenImageFailed
        `-- ConversionFailed, OutputsDrifted, InvalidPictures    (of `model-server optimize`)
"""

import reprlib
from collections.abc import Mapping
from typing import ClassVar

_SHOWN = reprlib.Repr()
_SHOWN.maxlevel = 2
_SHOWN.maxstring = _SHOWN.maxother = 120


def shown(value: object) -> str:
    """A client's value for a message: as Python writes it, but short.

    Whatever it is, it is cut in the middle; what lies deep or late in a list is left out. `repr`
    would answer a body of megabytes with megabytes, and fail on lists that are nested deeply.
    """
    return _SHOWN.repr(value)


class ModelServerError(Exception):
    """Base of all errors that this package raises on purpose.

    Attributes:
        message: What was wrong and what to do about it, for a person.
    """

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class RequestError(ModelServerError):
    """A request that cannot be answered as asked."""

    status: ClassVar[int] = 400

    @property
    def code(self) -> str:
        """A stable name for programs: the class's own name."""
        return type(self).__name__

    @property
    def headers(self) -> Mapping[str, str]:
        """Response headers that belong to this error."""
        return {}


class InvalidRequest(RequestError):
    """The request is well-formed HTTP but its content makes no sense."""


class InvalidImage(RequestError):
    """The bytes are not a picture, or a damaged one."""


class MissingImage(RequestError):
    """The request carries no picture."""


class WrongTask(RequestError):
    """The model does another task than the endpoint asks for."""


class UnsupportedMediaType(RequestError):
    """The content type, or the picture's format, is not one we read."""

    status = 415


class NotAcceptable(RequestError):
    """None of the formats in the Accept header can be produced."""

    status = 406


class PayloadTooLarge(RequestError):
    """The body has more bytes than the limit."""

    status = 413


class ImageTooLarge(RequestError):
    """The picture would have more pixels than the limit once decoded."""

    status = 413


class BodyTooSlow(RequestError):
    """The request's time was up before its body had come."""

    status = 408


class UnknownModel(RequestError):
    """No model of that name or version is loaded."""

    status = 404


class UnknownPath(RequestError):
    """No such URL."""

    status = 404


class MethodNotAllowed(RequestError):
    """The URL exists, with other methods."""

    status = 405

    def __init__(self, message: str, allowed: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.allowed = allowed

    @property
    def headers(self) -> Mapping[str, str]:
        """HTTP requires the list of allowed methods beside a 405."""
        return {"Allow": ", ".join(self.allowed)} if self.allowed else {}


class Overloaded(RequestError):
    """The queue is full, or the server is stopping: try again, perhaps elsewhere."""

    status = 503

    def __init__(self, message: str, retry_after_seconds: int = 1) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds

    @property
    def headers(self) -> Mapping[str, str]:
        """When to try again."""
        return {"Retry-After": str(self.retry_after_seconds)}


class DeadlineExceeded(RequestError):
    """The request's time was up before its inference began or ended."""

    status = 504


class ClientGone(RequestError):
    """The client closed its connection while its request was waiting."""

    status = 499


class InferenceFailed(RequestError):
    """The model itself failed on an input that had passed every check."""

    status = 500


class StartupError(ModelServerError):
    """The server cannot begin to serve."""

    @property
    def reason(self) -> str:
        """The first word of the termination message, read by the operator."""
        return type(self).__name__


class InvalidSettings(StartupError):
    """A flag or an environment variable has a wrong value."""


class InvalidModel(StartupError):
    """The model cannot be found, read, or understood, or is not safe to load."""


class ModelCrashed(StartupError):
    """The model has crashed its runtime, or the process that loaded it was killed."""


class WarmUpFailed(StartupError):
    """The model loads but its first inference fails."""


class GoldenImageFailed(StartupError):
    """The model answers, but not what the golden image must give."""


class ConversionFailed(StartupError):
    """The model cannot be expressed in the form asked for."""


class OutputsDrifted(StartupError):
    """The converted model answers otherwise than its source, by more than is allowed."""


class InvalidPictures(StartupError):
    """The pictures to calibrate and compare with are missing or cannot be read."""
