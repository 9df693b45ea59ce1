"""Reasons why a model could not be fetched: one exception type for each reason shown to the user.

The type's name is the first word of the termination message, which the operator shows; the rest
of the message says what went wrong and what to do. This module does not depend on HTTP, files or
the command line.

    DownloadError
    |-- DownloadFailed      the remote server, the network or the request failed
    |-- ModelNotFound       the address has nothing, or no model in it
    |-- ChecksumMismatch    the bytes have another digest than expected
    |-- UnsafeArchive       the archive would write outside its folder or is a decompression bomb
    |-- ModelTooLarge       the model has more bytes than allowed
    |-- AddressNotAllowed   the address belongs to the cluster, the node or the cloud's metadata
    |-- UnsupportedScheme   the storageUri has a scheme that cannot be fetched
    `-- NoSpace             the volume is full
    Transient               a temporary failure, worth a retry
"""

from __future__ import annotations


class DownloadError(Exception):
    """Base class of all reasons."""

    @property
    def reason(self) -> str:
        """The first word of the termination message."""
        return type(self).__name__


class DownloadFailed(DownloadError):
    """The remote server, the network or the request itself failed."""


class ModelNotFound(DownloadError):
    """The address has nothing, or no model in it."""


class ChecksumMismatch(DownloadError):
    """The downloaded bytes do not have the expected digest."""


class UnsafeArchive(DownloadError):
    """The archive would write outside its folder or is a decompression bomb."""


class ModelTooLarge(DownloadError):
    """The model has more bytes than allowed."""


class AddressNotAllowed(DownloadError):
    """The address belongs to the cluster, the node or the cloud's metadata service."""


class UnsupportedScheme(DownloadError):
    """The storageUri has a scheme that cannot be fetched."""


class NoSpace(DownloadError):
    """The volume is full."""


class Transient(Exception):
    """A temporary failure that may succeed on retry.

    Attributes:
        retry_after: Seconds that the remote server asked to wait, or None.
        restart: Whether to discard the bytes fetched so far.
    """

    def __init__(
        self, message: str, *, retry_after: float | None = None, restart: bool = False
    ) -> None:
        super().__init__(message)
        self.retry_after = retry_after
        self.restart = restart
