"""The exceptions of the client, one type per way a caller may react.

Messages say what is wrong and what to do.

    ClientError
    |-- InvalidAddress      the address is not an http(s) URL
    |-- UnreadablePicture   a file cannot be read or is empty
    |-- UnwritableOutput    a result cannot be written
    |-- ServerUnreachable   no connection: name, network, certificate
    |   `-- ServerTimeout   connected, but no response in time
    |-- RequestRefused      a 4xx response: the request is invalid
    |-- ServerFailed        a 5xx response
    |   `-- ServerBusy      503 after the last retry
    `-- UnexpectedAnswer    a response that no model server sends
"""

from __future__ import annotations


class ClientError(Exception):
    """Base class of the client's exceptions."""


class InvalidAddress(ClientError):
    """The address is not an http(s) URL."""


class UnreadablePicture(ClientError):
    """A picture cannot be read, or is empty."""


class UnwritableOutput(ClientError):
    """A result cannot be written."""


class ServerUnreachable(ClientError):
    """The server cannot be reached."""


class ServerTimeout(ServerUnreachable):
    """The server did not respond in time."""


class RequestRefused(ClientError):
    """The server returned 4xx.

    Attributes:
        status: The HTTP status.
        code: The error code, such as `InvalidImage`; empty without one.
    """

    def __init__(self, message: str, status: int, code: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.code = code


class ServerFailed(ClientError):
    """The server returned 5xx.

    Attributes:
        status: The HTTP status.
    """

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class ServerBusy(ServerFailed):
    """The server returned 503 after the last retry."""


class UnexpectedAnswer(ClientError):
    """The response is not a model server's; the address may be wrong."""
