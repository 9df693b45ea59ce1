"""Parses a storageUri. Pure: nothing is resolved or opened here.

    https://HOST/PATH  (and http)              one file or archive
    s3://BUCKET/KEY    gs://BUCKET/KEY         one object, or all objects below a folder
    oci://REGISTRY/REPOSITORY[:TAG|@sha256:HEX]
    pvc://CLAIM/PATH   bundled://NAME          already in the pod: nothing to fetch

`#sha256=HEX` at the end of an http(s), s3, gs or oci URI is the same as the flag --sha256.
Credentials and queries, which often hold a signature, are removed from all text shown to users.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import SplitResult, unquote, urlsplit

from model_server.download.errors import DownloadFailed, ModelNotFound, UnsupportedScheme

MAX_LENGTH = 4096
BUNDLED = ("detector", "classifier")
SCHEMES = ("https", "http", "s3", "gs", "oci", "pvc", "bundled")

_UNPRINTABLE = re.compile(r"[\x00-\x20\x7f-\x9f\\]")
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://(.*)", re.DOTALL)
_URL_IN_TEXT = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^\s'\"<>]+")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_BUCKET = re.compile(r"[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]")
_CLAIM = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")
# The grammar of the OCI distribution specification, without its length limits.
_REPOSITORY = re.compile(r"[a-z0-9]+(([._]|__|-+)[a-z0-9]+)*(/[a-z0-9]+(([._]|__|-+)[a-z0-9]+)*)*")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")


@dataclass(frozen=True)
class HttpUri:
    """A file served over http or https.

    Attributes:
        url: URL without credentials and fragment.
        shown: URL for messages and logs; the query's content is removed too.
        credentials: `user:password`, or empty.
        sha256: Expected digest of the file in hex, or empty.
    """

    url: str = field(repr=False)
    shown: str
    credentials: str = field(default="", repr=False)
    sha256: str = ""


@dataclass(frozen=True)
class BucketUri:
    """An object, or the objects below a folder, in an object store.

    Attributes:
        key: Key without a leading slash; empty or with a trailing slash for a folder.
    """

    scheme: Literal["s3", "gs"]
    bucket: str
    key: str = field(repr=False)
    sha256: str = ""

    @property
    def shown(self) -> str:
        """The URI for messages and logs."""
        key, query, _ = self.key.partition("?")  # the user may have pasted a signed URL
        return f"{self.scheme}://{self.bucket}/{key}" + ("?***" if query else "")


@dataclass(frozen=True)
class OciUri:
    """An artifact or image in an OCI registry.

    Attributes:
        registry: Host with an optional port.
        reference: A tag, or `sha256:HEX`.
    """

    registry: str
    repository: str
    reference: str
    sha256: str = ""

    @property
    def shown(self) -> str:
        """The URI for messages and logs."""
        mark = "@" if ":" in self.reference else ":"
        return f"oci://{self.registry}/{self.repository}{mark}{self.reference}"


@dataclass(frozen=True)
class MountedUri:
    """A model that is already in the pod: pvc:// is mounted, bundled:// is in the image."""

    shown: str


StorageUri = HttpUri | BucketUri | OciUri | MountedUri


def parse_uri(text: str) -> StorageUri:
    """Parses a storageUri.

    Raises:
        UnsupportedScheme: if the text is not a URI or its scheme is not supported.
        ModelNotFound: if bundled:// names a model that the image does not have.
        DownloadFailed: if the rest of the URI is invalid; the message says what to write.
    """
    match = _SCHEME.fullmatch(text)
    known = ", ".join(f"{scheme}://" for scheme in SCHEMES)
    if match is None:
        raise UnsupportedScheme(f"storageUri {_clip(text)!r} has no scheme; use one of {known}")
    scheme, rest = match[1].lower(), match[2]
    if scheme not in SCHEMES:
        raise UnsupportedScheme(
            f"storageUri {scheme}:// is not supported; it must be one of {known}"
        )
    if len(text) > MAX_LENGTH:
        raise DownloadFailed(f"storageUri is longer than {MAX_LENGTH} characters")
    if _UNPRINTABLE.search(text):
        raise DownloadFailed(
            f"storageUri {scheme}://... has a space, a backslash or a control character in it; "
            "in an http(s) URL write it percent-encoded, as in %20"
        )
    if scheme == "bundled":
        return _bundled(rest)
    if scheme == "pvc":
        return _pvc(rest)
    rest, sha256 = _split_digest(rest, scheme)
    if scheme == "oci":
        return _oci(rest, sha256)
    if scheme in {"s3", "gs"}:
        return _bucket("s3" if scheme == "s3" else "gs", rest, sha256)
    return _http(f"{scheme}://{rest}", sha256)


def parse_sha256(text: str, where: str) -> str:
    """Parses a hex SHA-256, with or without a leading `sha256:`, and returns it in lower case.

    Raises:
        DownloadFailed: if the text is not a SHA-256; `where` names what to correct.
    """
    digest = text.strip().lower().removeprefix("sha256:")
    if not _SHA256.fullmatch(digest):
        # Not quoted: after an @ in an oci:// URI, it may be part of a password.
        raise DownloadFailed(
            f"{where} must be a SHA-256 of 64 hex digits; {len(digest)} characters are there"
        )
    return digest


def safe_url(url: str) -> str:
    """Returns a URL that is safe to show, without credentials, fragment and query content."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return "(a malformed URL)"
    if "@" in parts.path + parts.query + parts.fragment:
        # Possibly a password with an unencoded slash, question mark or hash.
        mark = "" if "@" in parts.query + parts.fragment else "@" + parts.path.rpartition("@")[2]
        return f"{parts.scheme}://***{mark}"
    host = parts.netloc.rpartition("@")[2]
    return f"{parts.scheme}://{host}{parts.path}" + ("?***" if parts.query else "")


def redact(text: str) -> str:
    """Returns a library's message with each URL replaced by its `safe_url`."""
    return _URL_IN_TEXT.sub(lambda match: safe_url(match[0]), text)


def _split_digest(rest: str, scheme: str) -> tuple[str, str]:
    body, mark, fragment = rest.partition("#")
    if not mark:
        return body, ""
    name, _, value = fragment.partition("=")
    if name != "sha256":
        raise DownloadFailed(
            f"storageUri {scheme}://... ends in an unknown #fragment; only #sha256=HEX is known"
        )
    return body, parse_sha256(value, "#sha256= in storageUri")


def _http(url: str, sha256: str) -> HttpUri:
    parts = split_url(url, "storageUri")
    userinfo, _, netloc = parts.netloc.rpartition("@")
    bare = parts._replace(netloc=netloc, fragment="").geturl()
    return HttpUri(bare, safe_url(bare), unquote(userinfo), sha256)


def split_url(url: str, where: str) -> SplitResult:
    """Splits an http(s) URL and checks that it has a host and a valid port.

    Raises:
        DownloadFailed: if it does not; `where` says which URL it is.
    """
    try:
        parts = urlsplit(url)
        _ = parts.port  # accessing it validates the port
    except ValueError:  # its text quotes the invalid part, which may be a password
        raise DownloadFailed(
            f"{where} is not a URL: its host or port is malformed; in a user name or password "
            "write / ? # and @ percent-encoded, as in %2F"
        ) from None
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise DownloadFailed(f"{where} {safe_url(url)} is not an http(s) URL with a host")
    return parts


def _bucket(scheme: Literal["s3", "gs"], rest: str, sha256: str) -> BucketUri:
    bucket, _, key = rest.partition("/")
    if not _BUCKET.fullmatch(bucket):
        raise DownloadFailed(
            f"storageUri {scheme}://{_clip(rest)} names no valid bucket; write "
            f"{scheme}://BUCKET/PATH"
        )
    return BucketUri(scheme, bucket, key.lstrip("/"), sha256)


def _oci(rest: str, sha256: str) -> OciUri:
    registry, _, path = rest.partition("/")
    repository, at, digest = path.partition("@")
    reference = ""
    if at:
        reference = f"sha256:{parse_sha256(digest, 'the digest in storageUri')}"
        repository = repository.partition(":")[0]
    else:
        repository, _, tag = path.partition(":")
        reference = tag or "latest"
    netloc = split_url(f"https://{registry}/", "the registry in storageUri").netloc
    # A ? or # ends the host of a URL, and would hide credentials that follow it.
    if netloc != registry or "@" in netloc or not _REPOSITORY.fullmatch(repository):
        raise DownloadFailed(
            f"storageUri oci://{_clip(rest)} names no repository; write "
            "oci://REGISTRY/REPOSITORY:TAG or oci://REGISTRY/REPOSITORY@sha256:HEX"
        )
    if not at and not _TAG.fullmatch(reference):
        raise DownloadFailed(f"storageUri: {_clip(reference)!r} is not a valid tag")
    return OciUri(registry, repository, reference, sha256)


def _pvc(rest: str) -> MountedUri:
    claim, _, path = rest.partition("/")
    if not _CLAIM.fullmatch(claim):
        raise DownloadFailed(
            f"storageUri pvc://{_clip(rest)} names no valid claim; write pvc://CLAIM/PATH"
        )
    if ".." in path.split("/"):
        raise DownloadFailed("storageUri pvc://... must not have '..' in its path")
    path, query, _ = path.partition("?")
    return MountedUri(f"pvc://{claim}/{path}" + ("?***" if query else ""))


def _bundled(name: str) -> MountedUri:
    if name not in BUNDLED:
        known = " and ".join(f"bundled://{model}" for model in BUNDLED)
        raise ModelNotFound(f"the image has no model bundled://{_clip(name)}; it has {known}")
    return MountedUri(f"bundled://{name}")


def _clip(text: str) -> str:
    """Returns at most 100 characters of user input, without parts that may be secret."""
    start = re.search(r"[?#]", text)
    head, tail = (text[: start.start()], text[start.start() :]) if start else (text, "")
    if "@" in tail:
        return "***"
    shown = head.rpartition("@")[2]
    return (shown if len(shown) <= 100 else shown[:100] + "...") + (f"{tail[0]}***" if tail else "")
