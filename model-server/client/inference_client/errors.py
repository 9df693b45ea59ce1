"""What can go wrong, one type for each thing a caller might do about it.

Messages are for a person: they say what was wrong and what to do. Nothing here prints or exits.

    ClientError
    |-- InvalidAddress      the address is not an http(s) URL
    |-- UnreadablePicture   a file cannot be read, or there is nothing in it
    |-- UnwritableOutput    a result cannot be written where it should be
    |-- ServerUnreachable   no connection: name, network, certificate
    |   `-- ServerTimeout   connected, but no answer in time
    |-- RequestRefused      a 4xx answer: the request will not work as it is
    |-- ServerFailed        a 5xx answer
    |   `-- ServerBusy      503, also after the last retry
    `-- UnexpectedAnswer    an answer that is not what a model server says
"""

from __future__ import annotations


class ClientError(Exception):
    """Base of every error that this package raises on purpose."""


class InvalidAddress(ClientError):
    """The address is not an http(s) URL."""


class UnreadablePicture(ClientError):
    """A picture cannot be read, or is empty."""


class UnwritableOutput(ClientError):
    """A result cannot be written where it should be."""


class ServerUnreachable(ClientError):
    """There is no connection to the server."""


class ServerTimeout(ServerUnreachable):
    """The server took the request and did not answer in time."""


class RequestRefused(ClientError):
    """The server answered 4xx.

    Attributes:
        status: The HTTP status.
        code: The server's name for the error, such as `InvalidImage`; empty if it gave none.
    """

    def __init__(self, message: str, status: int, code: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.code = code


class ServerFailed(ClientError):
    """The server answered 5xx.

    Attributes:
        status: The HTTP status.
    """

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class ServerBusy(ServerFailed):
    """The server answered 503, also after the last retry."""


class UnexpectedAnswer(ClientError):
    """The answer is not what a model server says; perhaps the address is another server's."""
