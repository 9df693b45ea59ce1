"""Fetches objects from S3 and S3-compatible stores.

botocore signs requests, chooses endpoints and finds credentials, as in every AWS tool. Requests go
through our `Connections`, like all others, so an endpoint or a redirect cannot lead to an internal
address. Settings are the environment variables of the AWS tools and of KServe:
AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN, AWS_REGION, AWS_ROLE_ARN with
AWS_WEB_IDENTITY_TOKEN_FILE, AWS_ENDPOINT_URL or S3_ENDPOINT, S3_USE_HTTPS,
S3_USER_VIRTUAL_BUCKET, AWS_ANONYMOUS_CREDENTIAL. Without credentials, objects must be public.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, TypeVar, cast

import botocore.session
from botocore import UNSIGNED
from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    FlexibleChecksumError,
    IncompleteReadError,
)

from model_server.download.buckets import StoredObject, folder_items, folder_of
from model_server.download.connections import Connections, Response
from model_server.download.errors import DownloadError, DownloadFailed, ModelNotFound, Transient
from model_server.download.fetch import Patience
from model_server.download.sources import Body, Item, Opener
from model_server.download.uri import BucketUri, redact

if TYPE_CHECKING:
    from botocore.compat import HTTPHeaders
    from mypy_boto3_s3.client import S3Client
    from mypy_boto3_s3.type_defs import GetObjectOutputTypeDef

_MISSING = frozenset({"404", "NoSuchKey", "NoSuchBucket", "NotFound"})
_FORBIDDEN = frozenset(
    {"401", "403", "AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken"}
)
_CHANGED = frozenset({"412", "PreconditionFailed", "416", "InvalidRange"})
_TRY_AGAIN = frozenset({"SlowDown", "InternalError", "ServiceUnavailable", "RequestTimeout"})
# The botocore credential providers that neither run a program nor contact another host, plus the
# exchange of a service account token.
_PROVIDERS = {
    "env",
    "assume-role-with-web-identity",
    "shared-credentials-file",
    "config-file",
}
_INSTANCE_PROVIDERS = {"container-role", "iam-role"}
T = TypeVar("T")


def s3_items(
    uri: BucketUri,
    connections: Connections,
    patience: Patience,
    environment: Mapping[str, str],
    *,
    instance_credentials: bool = False,
) -> list[Item]:
    """Returns the object that a storageUri names, or those below it.

    Args:
        uri: s3://BUCKET/KEY.
        connections: Makes the requests.
        patience: Time limit and retry policy for the listing.
        environment: The environment variables described above.
        instance_credentials: Allows asking the node's metadata service for credentials.

    Raises:
        DownloadError: if the objects cannot be found or listed; the type is the reason.
    """
    store = _Store(uri, connections, environment, instance_credentials=instance_credentials)
    if uri.key and not uri.key.endswith("/"):
        stored = patience.insist(store.find, uri.shown)
        if stored is not None:
            path = uri.key.rpartition("/")[2]
            return [Item(path, uri.shown, store.opener(stored), uri.sha256, stored.size)]
    return patience.insist(lambda: folder_items(uri, store.list(), store.opener), uri.shown)


class _Store:
    """One bucket, accessed through one client."""

    def __init__(
        self,
        uri: BucketUri,
        connections: Connections,
        environment: Mapping[str, str],
        *,
        instance_credentials: bool,
    ) -> None:
        self._uri = uri
        self._connections = connections
        self._client = self._call(
            lambda: _client(environment, self._send, instance_credentials=instance_credentials)
        )

    def find(self) -> StoredObject | None:
        """Returns the object with exactly this key, or None; a folder is not an object."""
        try:
            head = self._call(
                lambda: self._client.head_object(Bucket=self._uri.bucket, Key=self._uri.key)
            )
        except ModelNotFound:
            return None
        return StoredObject(self._uri.key, head["ContentLength"], head["ETag"])

    def list(self) -> Iterator[StoredObject]:
        """Yields all objects below the folder."""
        pages = self._client.get_paginator("list_objects_v2").paginate(
            Bucket=self._uri.bucket, Prefix=folder_of(self._uri)
        )
        iterator = iter(pages)
        while (page := self._call(lambda: next(iterator, None))) is not None:
            for entry in page.get("Contents", ()):
                yield StoredObject(entry["Key"], entry["Size"], entry["ETag"])

    def opener(self, stored: StoredObject) -> Opener:
        """Returns an opener for one object, which fails if the object has changed since."""

        def open_at(offset: int, _validator: str) -> Body:
            answer = self._call(lambda: self._get(stored, f"bytes={offset}-" if offset else ""))
            stream = answer["Body"]
            return Body(
                offset=offset,
                total=offset + answer["ContentLength"],
                validator=stored.version,
                chunks=self._chunks(lambda: stream.read(1 << 18)),
                close=stream.close,
            )

        return open_at

    def _get(self, stored: StoredObject, part: str) -> GetObjectOutputTypeDef:
        bucket, key, same = self._uri.bucket, stored.key, stored.version
        if part:
            return self._client.get_object(Bucket=bucket, Key=key, IfMatch=same, Range=part)
        return self._client.get_object(Bucket=bucket, Key=key, IfMatch=same)

    def _chunks(self, read: Callable[[], bytes]) -> Iterator[bytes]:
        while chunk := self._call(read):
            yield chunk

    def _send(self, request: AWSPreparedRequest, **_: object) -> AWSResponse:
        """Sends one of botocore's requests through our connections."""
        headers = {name: _text(value) for name, value in request.headers.items()}
        body = request.body if isinstance(request.body, bytes) else None
        response = self._connections.request(request.method, request.url, headers, body)
        received = cast("HTTPHeaders", response.headers)  # botocore itself passes urllib3's headers
        return AWSResponse(request.url, response.status, received, _Raw(response))

    def _call(self, action: Callable[[], T]) -> T:
        """Makes one client call and translates botocore's errors.

        Raises:
            ModelNotFound: if the object or bucket does not exist.
            DownloadError: if the call fails for another permanent reason.
            Transient: if a retry may succeed.
        """
        try:
            return action()
        except ClientError as error:
            raise _translate(error, self._uri) from error
        except (IncompleteReadError, FlexibleChecksumError) as error:
            raise Transient(f"{self._uri.shown} came damaged", restart=True) from error
        except BotoCoreError as error:
            raise _cause(error) or DownloadFailed(
                f"{self._uri.shown}: {redact(str(error))}"
            ) from error


def _cause(error: BaseException) -> DownloadError | None:
    """Returns the DownloadError raised inside one of botocore's own clients, such as by `guard`."""
    inner = error.__context__
    while inner is not None and not isinstance(inner, DownloadError):
        inner = inner.__context__
    return inner


def _text(value: object) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


class _Raw:
    """Our response in the form that botocore expects; `read` may return fewer bytes than asked."""

    def __init__(self, response: Response) -> None:
        self._response = response
        self._chunks = response.chunks()

    def read(self, amt: int | None = None) -> bytes:
        """Returns the next available bytes, all without `amt`; empty at the end."""
        if amt is None:
            return b"".join(self._chunks)
        return next(self._chunks, b"")

    def stream(self) -> Iterator[bytes]:
        """Yields the remaining bytes."""
        return self._chunks

    def close(self) -> None:
        """Closes the connection."""
        self._response.close()


def _client(
    environment: Mapping[str, str], send: Callable[..., AWSResponse], *, instance_credentials: bool
) -> S3Client:
    session = botocore.session.Session()
    # A handler that returns a response replaces botocore's own HTTP for every client created from
    # this session, so a role's token is requested through our connections too.
    session.register("before-send", cast("Any", send))  # its stubs expect handlers without a result
    allowed = _PROVIDERS | (_INSTANCE_PROVIDERS if instance_credentials else set())
    resolver = session.get_component("credential_provider")
    for provider in list(resolver.providers):
        if provider.METHOD not in allowed:
            resolver.remove(provider.METHOD)
    endpoint = environment.get("S3_ENDPOINT") or None
    if endpoint and "://" not in endpoint:
        secure = environment.get("S3_USE_HTTPS", "1").lower() not in {"0", "false"}
        endpoint = f"{'https' if secure else 'http'}://{endpoint}"
    custom = (
        endpoint or environment.get("AWS_ENDPOINT_URL_S3") or environment.get("AWS_ENDPOINT_URL")
    )
    virtual = environment.get("S3_USER_VIRTUAL_BUCKET", "").lower() in {"1", "true"}
    anonymous = environment.get("AWS_ANONYMOUS_CREDENTIAL", "").lower() in {"1", "true"}
    config = Config(
        signature_version=UNSIGNED if anonymous or session.get_credentials() is None else None,
        # Self-hosted stores rarely have a host name for each bucket.
        s3={"addressing_style": "path" if custom and not virtual else "auto"},
        retries={"total_max_attempts": 1, "mode": "standard"},
    )
    region = environment.get("AWS_REGION") or environment.get("AWS_DEFAULT_REGION") or "us-east-1"
    try:
        client = session.create_client(
            "s3", region_name=region, endpoint_url=endpoint, config=config
        )
    except ValueError:  # quotes the address, which may contain a password
        raise DownloadFailed(
            "AWS_ENDPOINT_URL or S3_ENDPOINT is not an address such as https://HOST:PORT"
        ) from None
    return cast("S3Client", client)


def _translate(error: ClientError, uri: BucketUri) -> DownloadError | Transient:
    """Translates an error; the store's own message is dropped, as it may quote request headers."""
    code = str(error.response.get("Error", {}).get("Code", ""))
    status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    said = (
        f"{uri.shown}: the store answered {status} {code if not code.isdecimal() else ''}".strip()
    )
    if code in _MISSING:
        return ModelNotFound(f"{said}; is storageUri right?")
    if code in _FORBIDDEN or status in {401, 403}:
        return DownloadFailed(
            f"{said}: it wants credentials, or others than it was given (AWS_ACCESS_KEY_ID and "
            "AWS_SECRET_ACCESS_KEY, or a role of the service account)"
        )
    if code in _CHANGED:
        return Transient(f"{said}: the object has changed", restart=True)
    if code in _TRY_AGAIN or status >= 500 or status == 429:
        return Transient(said)
    return DownloadFailed(said)
