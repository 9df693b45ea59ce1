"""Why a model could not be fetched: one type for each reason that reaches the user.

A type's name is the first word of the termination message, which the operator shows; the message
after it says what was wrong and what to do. Nothing here knows HTTP, files or the command line.

    DownloadError
    |-- DownloadFailed      the other side, the network, or the request itself
    |-- ModelNotFound       nothing at that address, or no model in what is there
    |-- ChecksumMismatch    not the bytes that were asked for
    |-- UnsafeArchive       an archive that would write outside its folder, or is a bomb
    |-- ModelTooLarge       more bytes than allowed
    |-- AddressNotAllowed   an address inside the cluster, the node or the cloud's metadata
    |-- UnsupportedScheme   a storageUri that is none we can read
    `-- NoSpace             the volume is full
    Transient               not an answer yet: worth another try
"""

from __future__ import annotations


class DownloadError(Exception):
    """Base of every reason."""

    @property
    def reason(self) -> str:
        """The first word of the termination message."""
        return type(self).__name__


class DownloadFailed(DownloadError):
    """The other side, the network, or the request itself."""


class ModelNotFound(DownloadError):
    """Nothing is at that address, or there is no model in what is there."""


class ChecksumMismatch(DownloadError):
    """The bytes are not those that were asked for."""


class UnsafeArchive(DownloadError):
    """The archive would write outside its folder, or is a decompression bomb."""


class ModelTooLarge(DownloadError):
    """There are more bytes than allowed."""


class AddressNotAllowed(DownloadError):
    """The address belongs to the cluster, the node or the cloud's metadata service."""


class UnsupportedScheme(DownloadError):
    """The storageUri is of a kind that cannot be fetched."""


class NoSpace(DownloadError):
    """The volume is full."""


class Transient(Exception):
    """A failure that may be gone at the next try.

    Attributes:
        retry_after: Seconds that the other side asked to wait, or None.
        restart: What was fetched so far is of no use.
    """

    def __init__(
        self, message: str, *, retry_after: float | None = None, restart: bool = False
    ) -> None:
        super().__init__(message)
        self.retry_after = retry_after
        self.restart = restart
