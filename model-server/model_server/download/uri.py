"""storageUri as text to what it names. Pure: nothing is resolved or opened here.

    https://HOST/PATH  (and http)              one file or archive
    s3://BUCKET/KEY    gs://BUCKET/KEY         one object, or all below a folder
    oci://REGISTRY/REPOSITORY[:TAG|@sha256:HEX]
    pvc://CLAIM/PATH   bundled://NAME          already there: nothing to fetch

`#sha256=HEX` at the end of the first four is the same as the flag --sha256. Credentials and
queries (a query is often a signature) are kept out of every text that is shown.
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
# The grammar of the OCI distribution specification, without its limits on length.
_REPOSITORY = re.compile(r"[a-z0-9]+(([._]|__|-+)[a-z0-9]+)*(/[a-z0-9]+(([._]|__|-+)[a-z0-9]+)*)*")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")


@dataclass(frozen=True)
class HttpUri:
    """A file behind http or https.

    Attributes:
        url: Without credentials and fragment.
        shown: For people and logs: without the query's content too.
        credentials: `user:password`, or empty.
        sha256: Expected digest of the file in hex, or empty.
    """

    url: str = field(repr=False)
    shown: str
    credentials: str = field(default="", repr=False)
    sha256: str = ""


@dataclass(frozen=True)
class BucketUri:
    """An object, or the objects below a folder, of an object store.

    Attributes:
        key: Without a leading slash; empty or ending in a slash means a folder.
    """

    scheme: Literal["s3", "gs"]
    bucket: str
    key: str = field(repr=False)
    sha256: str = ""

    @property
    def shown(self) -> str:
        """For people and logs."""
        key, query, _ = self.key.partition("?")  # of a signed URL that was pasted, perhaps
        return f"{self.scheme}://{self.bucket}/{key}" + ("?***" if query else "")


@dataclass(frozen=True)
class OciUri:
    """An artifact or image in an OCI registry.

    Attributes:
        registry: Host, perhaps with a port.
        reference: A tag, or `sha256:HEX`.
    """

    registry: str
    repository: str
    reference: str
    sha256: str = ""

    @property
    def shown(self) -> str:
        """For people and logs."""
        mark = "@" if ":" in self.reference else ":"
        return f"oci://{self.registry}/{self.repository}{mark}{self.reference}"


@dataclass(frozen=True)
class MountedUri:
    """A model that is already in the pod: pvc:// is mounted, bundled:// is in the image."""

    shown: str


StorageUri = HttpUri | BucketUri | OciUri | MountedUri


def parse_uri(text: str) -> StorageUri:
    """Reads a storageUri.

    Raises:
        UnsupportedScheme: it is no URI, or of a scheme that is not read.
        ModelNotFound: bundled:// names a model that the image does not have.
        DownloadFailed: the scheme is known, the rest is wrong; the message says what to write.
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
    """A SHA-256 in hex, in lower case, with or without a leading `sha256:`.

    Raises:
        DownloadFailed: it is none; `where` says what to correct.
    """
    digest = text.strip().lower().removeprefix("sha256:")
    if not _SHA256.fullmatch(digest):
        # Not quoted: behind an @ in an oci:// address it is perhaps a part of a password.
        raise DownloadFailed(
            f"{where} must be a SHA-256 of 64 hex digits; {len(digest)} characters are there"
        )
    return digest


def safe_url(url: str) -> str:
    """A URL as it may be shown: without credentials, fragment and the query's content."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return "(a malformed URL)"
    if "@" in parts.path + parts.query + parts.fragment:
        # A password with a slash, a question mark or a hash that was not encoded, perhaps.
        mark = "" if "@" in parts.query + parts.fragment else "@" + parts.path.rpartition("@")[2]
        return f"{parts.scheme}://***{mark}"
    host = parts.netloc.rpartition("@")[2]
    return f"{parts.scheme}://{host}{parts.path}" + ("?***" if parts.query else "")


def redact(text: str) -> str:
    """A library's message with each URL in it as it may be shown."""
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
    """Splits an http(s) URL, making sure that it has a host and a valid port.

    Raises:
        DownloadFailed: it does not; `where` says which URL it is.
    """
    try:
        parts = urlsplit(url)
        _ = parts.port  # read for its check
    except ValueError:  # its text quotes the part that is wrong, perhaps a password
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
    if "@" in netloc or not _REPOSITORY.fullmatch(repository):
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
    """At most 100 characters of something that a user wrote, without what may be a secret."""
    start = re.search(r"[?#]", text)
    head, tail = (text[: start.start()], text[start.start() :]) if start else (text, "")
    if "@" in tail:
        return "***"
    shown = head.rpartition("@")[2]
    return (shown if len(shown) <= 100 else shown[:100] + "...") + (f"{tail[0]}***" if tail else "")
