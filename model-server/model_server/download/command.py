"""The command `model-server download`: downloads a model, or fails with a one-line reason.

The reason goes to stderr and to the container's termination message, which the operator shows to
the user. No error that a storageUri can cause shows a traceback.
"""

from __future__ import annotations

import datetime
import hashlib
import logging
import os
import time
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path

from model_server.download.assembly import Pair, assemble, check_files, check_model
from model_server.download.connections import Connections, Timeouts
from model_server.download.destination import Destination
from model_server.download.errors import ChecksumMismatch, DownloadError, DownloadFailed
from model_server.download.fetch import Patience, fetch
from model_server.download.guard import guarded
from model_server.download.http_source import http_item
from model_server.download.options import Options, parse_options
from model_server.download.progress import amount, duration
from model_server.download.sources import Item
from model_server.download.time_limit import OutOfTime, time_limit
from model_server.download.uri import (
    BucketUri,
    HttpUri,
    MountedUri,
    OciUri,
    StorageUri,
    parse_sha256,
    parse_uri,
)
from model_server.logs import TextFormatter
from model_server.termination import report_digest, report_end

_PROGRAM = "model-server download"
_LOG = logging.getLogger("model_server.download")


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command and returns its exit status."""
    options = parse_options(argv)
    handler = logging.StreamHandler()
    handler.setFormatter(TextFormatter("%Y-%m-%d %H:%M:%S"))
    logging.basicConfig(handlers=[handler], level=logging.INFO)
    # They log headers and full URLs at debug level, and retries that we already log.
    for name in ("urllib3", "botocore", "google"):
        logging.getLogger(name).setLevel(logging.ERROR)
    log = options.termination_log
    late = f"DownloadFailed: the download took longer than {duration(options.timeout)} (--timeout)"
    policy = options.policy
    if options.instance_credentials:
        policy = policy.with_metadata_services()
    try:
        with time_limit(options.timeout, lambda: report_end(_PROGRAM, late, log)), guarded(policy):
            digest = run(options)
    except DownloadError as error:
        return _fail(f"{error.reason}: {error}", log)
    except OutOfTime:
        return _fail(late, log)
    except KeyboardInterrupt:
        return _fail("DownloadFailed: interrupted", log)
    except Exception as error:  # noqa: BLE001 - libraries parse malicious input
        # Only the location: messages and local variables may contain secrets.
        where = "".join(traceback.format_list(traceback.extract_tb(error.__traceback__)))
        _LOG.error("unexpected %s", type(error).__name__)
        for line in where.splitlines():
            _LOG.error("%s", line)
        return _fail(f"DownloadFailed: unexpected {type(error).__name__}; see the log", log)
    report_digest(digest, log)
    return 0


def run(options: Options) -> str:
    """Fetches the model.

    Returns:
        SHA-256 of the download in hex; empty if there was nothing to download.

    Raises:
        DownloadError: if the model cannot be fetched; the type is the reason.
    """
    uri = parse_uri(options.uri)
    if isinstance(uri, MountedUri):
        _LOG.info("%s is already there: nothing to download", uri.shown)
        return ""
    expected = _expected_digest(options, uri)
    destination = Destination(options.dest)
    if _is_there(destination, uri.shown, expected, options.files):
        _LOG.info("%s is already there, as it was asked for", uri.shown)
        return str(destination.published().get("sha256", ""))
    destination.prepare()
    return _Download(options, uri, destination).run(expected)


def _is_there(
    destination: Destination, shown: str, expected: str, files: Mapping[str, str]
) -> bool:
    """Returns whether this exact model is already published; always False without a checksum."""
    published = destination.published()
    if not (expected or files) or published.get("uri") != shown:
        return False
    return (not expected or published.get("sha256") == expected) and (
        published.get("files", {}) == files
    )


class _Download:
    """One download, with its connections, time limit and folder."""

    def __init__(self, options: Options, uri: StorageUri, destination: Destination) -> None:
        self._options, self._uri, self._destination = options, uri, destination
        timeouts = Timeouts(options.connect_timeout, options.read_timeout)
        self._connections = Connections(options.policy, timeouts)
        self._patience = Patience(options.timeout, options.attempts, options.retry_delay)
        self._digest = ""

    def run(self, expected: str) -> str:
        """Fetches, checks and publishes the model, and returns its digest."""
        start = time.monotonic()
        items = self._items()
        pairs = self._fetch(items)
        size = sum(fetched.size for _, fetched in pairs)
        digest = self._digest or _digest(pairs)
        if expected and digest != expected:
            raise ChecksumMismatch(
                f"{self._uri.shown} has the SHA-256 {digest}, but {expected} was asked for; what "
                "is there is another model, or the checksum is wrong"
            )
        seconds = time.monotonic() - start
        _LOG.info(
            "%s: %s in %s, SHA-256 %s", self._uri.shown, amount(size), duration(seconds), digest
        )
        assemble(pairs, self._destination.content, self._options.max_bytes)
        check_model(self._destination.content, self._uri.shown)
        check_files(self._destination.content, self._options.files, self._uri.shown)
        self._destination.publish(
            {
                "uri": self._uri.shown,
                "sha256": digest,
                "files": dict(self._options.files),
                "bytes": size,
                "seconds": round(seconds, 3),
                "time": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            }
        )
        _LOG.info("%s is in %s", self._uri.shown, self._options.dest)
        return digest

    def _items(self) -> list[Item]:
        uri, options = self._uri, self._options
        if isinstance(uri, HttpUri):
            return [http_item(uri, self._connections)]
        if isinstance(uri, OciUri):
            from model_server.download.oci_source import oci_items  # noqa: PLC0415 - rarely needed

            items, self._digest = oci_items(
                uri, self._connections, self._patience, os.environ, plain_http=options.plain_http
            )
            return items
        assert isinstance(uri, BucketUri)  # noqa: S101 - `run` handles MountedUri
        if uri.scheme == "s3":
            from model_server.download.s3_source import s3_items as items_of  # noqa: PLC0415
        else:
            from model_server.download.gs_source import gs_items as items_of  # noqa: PLC0415
        return items_of(
            uri,
            self._connections,
            self._patience,
            os.environ,
            instance_credentials=options.instance_credentials,
        )

    def _fetch(self, items: Sequence[Item]) -> list[Pair]:
        pairs: list[Pair] = []
        left = self._options.max_bytes
        for item in items:
            # The name is stable across runs, so a later run can resume a partial file.
            name = hashlib.sha256(item.shown.encode()).hexdigest()[:24]
            fetched = fetch(item, self._destination.parts / name, left, self._patience)
            left -= fetched.size
            pairs.append((item, fetched))
        return pairs


def _expected_digest(options: Options, uri: HttpUri | BucketUri | OciUri) -> str:
    flag = parse_sha256(options.sha256, "--sha256") if options.sha256 else ""
    if flag and uri.sha256 and flag != uri.sha256:
        raise DownloadFailed("--sha256 and the #sha256= of storageUri are not the same")
    return flag or uri.sha256


def _digest(pairs: Sequence[Pair]) -> str:
    """Returns a single file's digest or, for several, that of their `sha256sum` listing."""
    if len(pairs) == 1:
        return pairs[0][1].sha256
    lines = sorted((f"./{item.path}".encode(), fetched.sha256) for item, fetched in pairs)
    digest = hashlib.sha256()
    for path, sha256 in lines:
        digest.update(f"{sha256}  ".encode() + path + b"\n")
    return digest.hexdigest()


def _fail(reason: str, termination_log: Path) -> int:
    report_end(_PROGRAM, reason, termination_log)
    return 1
