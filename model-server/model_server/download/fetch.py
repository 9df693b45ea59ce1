"""Fetches one item into one file, with retries, resuming, size limits and a digest.

The partial file is private to this module and survives a crash. A note next to it records which
item and version it belongs to, so the container's next run resumes where this one ended.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import logging
import random
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, TypeVar

from model_server.download.errors import (
    ChecksumMismatch,
    DownloadFailed,
    ModelTooLarge,
    NoSpace,
    Transient,
)
from model_server.download.progress import Clock, Progress, amount, duration
from model_server.download.sources import Body, Item

_LOG = logging.getLogger("model_server.download")
_LONGEST_WAIT_SECONDS = 60.0
# An attempt that fetched this much resets the count of failures.
_GOOD_PROGRESS_BYTES = 1 << 20
T = TypeVar("T")


@dataclass
class Patience:
    """Time limit and retry policy, shared by the whole download.

    Attributes:
        seconds: Time limit for the whole download.
        attempts: Maximum number of consecutive attempts without progress.
        first_delay: Seconds before the second attempt. The delay doubles for each further attempt,
            up to a minute, and is randomly shortened by up to half so that many pods do not retry
            at the same moment.
    """

    seconds: float = 3600.0
    attempts: int = 6
    first_delay: float = 1.0
    clock: Clock = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    jitter: Callable[[], float] = random.random
    _end: float = field(init=False)

    def __post_init__(self) -> None:
        self._end = self.clock() + self.seconds

    def check(self) -> None:
        """Checks that the time limit has not passed.

        Raises:
            DownloadFailed: if it has.
        """
        if self.clock() >= self._end:
            raise DownloadFailed(
                f"the download took longer than {duration(self.seconds)} (--timeout)"
            )

    def wait(self, failures: int, error: Transient, shown: str) -> None:
        """Waits before the next attempt.

        Raises:
            DownloadFailed: if there are no attempts left, or no time for another.
        """
        if failures >= self.attempts:
            raise DownloadFailed(f"{shown}: {error} (after {failures} tries)") from error
        delay = min(self.first_delay * 2 ** (failures - 1), _LONGEST_WAIT_SECONDS)
        delay *= 1 - self.jitter() / 2
        if error.retry_after is not None:
            delay = error.retry_after
        if self.clock() + delay >= self._end:
            raise DownloadFailed(
                f"{shown}: {error} (no time is left for another try; --timeout is "
                f"{duration(self.seconds)})"
            ) from error
        _LOG.warning("%s: %s; trying again in %.1f s", shown, error, delay)
        self.sleep(delay)

    def insist(self, action: Callable[[], T], shown: str) -> T:
        """Retries a small request until it succeeds.

        Raises:
            DownloadFailed: see `wait`.
        """
        failures = 0
        while True:
            self.check()
            try:
                return action()
            except Transient as error:
                failures += 1
                self.wait(failures, error, shown)


@dataclass(frozen=True)
class Fetched:
    """A complete file.

    Attributes:
        size: In bytes.
        sha256: Digest of the content in hex.
        filename: Name suggested by the remote server, or empty.
    """

    path: Path
    size: int
    sha256: str
    filename: str


def fetch(item: Item, path: Path, max_bytes: int, patience: Patience) -> Fetched:
    """Fetches an item into a file and checks its digest if one is expected.

    Args:
        item: What to fetch.
        path: The partial file, which may hold content from an interrupted run.
        max_bytes: Maximum size of the file in bytes.
        patience: Time limit and retry policy.

    Raises:
        DownloadError: if the item cannot be fetched; the type is the reason.
    """
    part = _Part(item, path, max_bytes)
    failures = 0
    while True:
        patience.check()
        before = part.size
        try:
            part.receive(patience)
            break
        except Transient as error:
            progressed = part.size - before >= _GOOD_PROGRESS_BYTES
            failures = 1 if progressed else failures + 1
            if error.restart:
                part.discard()
            patience.wait(failures, error, item.shown)
    fetched = part.complete()
    if item.sha256 and fetched.sha256 != item.sha256:
        raise ChecksumMismatch(
            f"{item.shown} has the SHA-256 {fetched.sha256}, but {item.sha256} was asked for; the "
            "file there is another one, or the checksum is wrong"
        )
    return fetched


class _Part:
    """The partial file of one item and its note."""

    def __init__(self, item: Item, path: Path, max_bytes: int) -> None:
        self._item, self._path, self._max_bytes = item, path, max_bytes
        self._note = path.with_name(path.name + ".json")
        self._validator = self._read_note()
        self._filename = ""
        if not self._validator:
            self.discard()
        self.size = path.stat().st_size if path.exists() else 0

    def discard(self) -> None:
        """Deletes the partial file and its note."""
        self._path.unlink(missing_ok=True)
        self._note.unlink(missing_ok=True)
        self._validator, self.size = "", 0

    def receive(self, patience: Patience) -> None:
        """Makes one attempt to fetch the rest.

        Raises:
            Transient: if it ends early; the received bytes are kept if they can be resumed.
            DownloadError: if a retry cannot help.
        """
        body = self._item.open(self.size, self._validator)
        try:
            self._adopt(body)
            with _writing(self._path) as file:
                file.truncate(body.offset)
                file.seek(body.offset)
                progress = Progress(self._item.shown, body.total, body.offset, patience.clock)
                for chunk in body.chunks:
                    patience.check()
                    self._check_size(self.size + len(chunk))
                    file.write(chunk)
                    self.size += len(chunk)
                    progress.add(len(chunk))
        except Transient:
            if not self._validator:
                self.discard()
            raise
        finally:
            body.close()
        self._check_end(body.total)

    def complete(self) -> Fetched:
        """Returns the whole file, with the digest of the content as read back from disk."""
        digest = hashlib.sha256()
        with self._path.open("rb") as file:
            while chunk := file.read(1 << 20):
                digest.update(chunk)
        self._note.unlink(missing_ok=True)
        return Fetched(self._path, self.size, digest.hexdigest(), self._filename)

    def _adopt(self, body: Body) -> None:
        if body.offset and body.validator and body.validator != self._validator:
            body.close()
            raise Transient("the file has changed", restart=True)
        self._filename = body.filename or self._filename
        self.size = body.offset
        if body.total is not None:
            self._check_size(body.total)
            self._check_space(body.total - body.offset)
        if body.validator != self._validator:
            self._validator = body.validator
            self._write_note()

    def _check_size(self, size: int) -> None:
        if size > self._max_bytes:
            raise ModelTooLarge(
                f"{self._item.shown} has more than the {amount(self._max_bytes)} that are allowed "
                "(--max-bytes)"
            )

    def _check_space(self, needed: int) -> None:
        free = shutil.disk_usage(self._path.parent).free
        if needed > free:
            raise NoSpace(
                f"{self._item.shown} needs {amount(needed)} more, but the volume has "
                f"{amount(free)} free"
            )

    def _check_end(self, total: int | None) -> None:
        if total is not None and self.size != total:
            raise Transient(f"the connection ended after {self.size} of {total} bytes")

    def _read_note(self) -> str:
        """Returns the validator of the partial content; empty if it is not part of this item."""
        try:
            note = json.loads(self._note.read_text())
        except (OSError, ValueError):
            return ""
        same = isinstance(note, dict) and note.get("item") == self._item.shown
        return str(note.get("validator", "")) if same else ""

    def _write_note(self) -> None:
        note = {"item": self._item.shown, "validator": self._validator}
        with no_space(self._note):
            self._note.write_text(json.dumps(note))


@contextlib.contextmanager
def _writing(path: Path) -> Iterator[BinaryIO]:
    with no_space(path), path.open("r+b" if path.exists() else "wb") as file:
        yield file


@contextlib.contextmanager
def no_space(path: Path) -> Iterator[None]:
    """Turns an OSError while writing into the matching DownloadError.

    Raises:
        NoSpace: if the volume or its quota is full.
        DownloadFailed: if writing fails for another reason.
    """
    try:
        yield
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}:
            raise NoSpace(
                f"the volume of {path.parent} is full ({(error.strerror or '').lower()}); give it "
                "more room or choose a smaller model"
            ) from error
        raise DownloadFailed(f"cannot write {path}: {error.strerror or error}") from error
