"""Every error that a user can cause, each with an HTTP status and a stable code.

A `RequestError` becomes a JSON response or a gRPC status. A `StartupError` becomes one line on
stderr and in the container's termination message.

    ModelServerError
    |-- RequestError            (status, code, headers)
    |   |-- InvalidRequest 400, InvalidImage 400, MissingImage 400, WrongTask 400
    |   |-- UnsupportedMediaType 415, NotAcceptable 406
    |   |-- PayloadTooLarge 413, ImageTooLarge 413
    |   |-- UnknownModel 404, UnknownPath 404, MethodNotAllowed 405
    |   |-- ModelNotServed 503, Overloaded 503, DeadlineExceeded 504
    |   |-- BodyTooSlow 408, ClientGone 499
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
    """A short `repr` of a client's value, for messages.

    Long text is cut in the middle and deep or long lists are abbreviated: a plain `repr` would
    answer megabytes with megabytes and fail on deeply nested lists.
    """
    return _SHOWN.repr(value)


def clipped(text: str, most: int = 100) -> str:
    """Text for a message, unquoted and cut to `most` characters."""
    return text if len(text) <= most else f"{text[:most]}..."


class ModelServerError(Exception):
    """Base class of the errors that this package raises on purpose.

    Attributes:
        message: What is wrong and what to do about it.
    """

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class RequestError(ModelServerError):
    """The request cannot be answered."""

    status: ClassVar[int] = 400

    @property
    def code(self) -> str:
        """Stable error code: the name of the class."""
        return type(self).__name__

    @property
    def headers(self) -> Mapping[str, str]:
        """Additional response headers."""
        return {}


class InvalidRequest(RequestError):
    """The request is well-formed HTTP with invalid content."""


class InvalidImage(RequestError):
    """The picture is damaged."""


class MissingImage(RequestError):
    """The request contains no picture."""


class WrongTask(RequestError):
    """The model does not do the task of the endpoint."""


class UnsupportedMediaType(RequestError):
    """The content type or picture format is not supported."""

    status = 415


class NotAcceptable(RequestError):
    """The endpoint produces none of the types in the Accept header."""

    status = 406


class PayloadTooLarge(RequestError):
    """The body exceeds the size limit."""

    status = 413


class ImageTooLarge(RequestError):
    """The decoded picture would exceed a limit."""

    status = 413


class BodyTooSlow(RequestError):
    """The body did not arrive within the time limit."""

    status = 408


class UnknownModel(RequestError):
    """There is no model of that name or version."""

    status = 404


class ModelNotServed(RequestError):
    """The model exists but failed to load; other models of the server work."""

    status = 503


class UnknownPath(RequestError):
    """Unknown URL."""

    status = 404


class MethodNotAllowed(RequestError):
    """The URL does not support the method."""

    status = 405

    def __init__(self, message: str, allowed: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.allowed = allowed

    @property
    def headers(self) -> Mapping[str, str]:
        """The `Allow` header, required with status 405."""
        return {"Allow": ", ".join(self.allowed)} if self.allowed else {}


class Overloaded(RequestError):
    """The queue is full or the server is stopping; retry later."""

    status = 503

    def __init__(self, message: str, retry_after_seconds: int = 1) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds

    @property
    def headers(self) -> Mapping[str, str]:
        """The `Retry-After` header."""
        return {"Retry-After": str(self.retry_after_seconds)}


class DeadlineExceeded(RequestError):
    """The request exceeded its time limit."""

    status = 504


class ClientGone(RequestError):
    """The client closed the connection while its request was waiting."""

    status = 499


class InferenceFailed(RequestError):
    """The model failed on a valid input."""

    status = 500


class StartupError(ModelServerError):
    """The server cannot start."""

    @property
    def reason(self) -> str:
        """First word of the termination message, read by the operator."""
        return type(self).__name__


class InvalidSettings(StartupError):
    """A flag or environment variable is invalid."""


class InvalidModel(StartupError):
    """The model is missing, unreadable, unsupported or unsafe to load."""


class ModelCrashed(StartupError):
    """The model has crashed its runtime, or the process that loaded it was killed."""


class WarmUpFailed(StartupError):
    """The first inference failed."""


class GoldenImageFailed(StartupError):
    """The golden image did not produce the expected result."""


class ConversionFailed(StartupError):
    """The model cannot be converted to the requested form."""


class OutputsDrifted(StartupError):
    """The results of the converted model differ too much from its source."""


class InvalidPictures(StartupError):
    """The pictures for calibration and comparison are missing or unreadable."""
