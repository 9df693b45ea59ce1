"""Fetches objects from Google Cloud Storage through its JSON API.

This takes only two kinds of plain GET request, made through our `Connections`. google-auth finds
the credentials: GOOGLE_APPLICATION_CREDENTIALS (a service account key or workload identity
federation), or the node's metadata service if that is allowed. Without credentials, objects must
be public. STORAGE_EMULATOR_HOST names another endpoint, as it does for Google's own libraries.
"""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Callable, Iterator, Mapping
from typing import Any, cast
from urllib.parse import quote, urlencode

from model_server.download.buckets import StoredObject, folder_items, folder_of
from model_server.download.connections import Connections
from model_server.download.errors import DownloadFailed, ModelNotFound, Transient
from model_server.download.fetch import Patience
from model_server.download.http_source import check_status, follow, open_url
from model_server.download.sources import Body, Item, Opener
from model_server.download.uri import BucketUri, redact

_ENDPOINT = "https://storage.googleapis.com"
_SCOPE = "https://www.googleapis.com/auth/devstorage.read_only"
_MAX_LISTING_BYTES = 32 << 20
Tokens = Callable[[], str]


def gs_items(
    uri: BucketUri,
    connections: Connections,
    patience: Patience,
    environment: Mapping[str, str],
    *,
    instance_credentials: bool = False,
) -> list[Item]:
    """Returns the object that a storageUri names, or those below it.

    Args:
        uri: gs://BUCKET/KEY.
        connections: Makes the requests.
        patience: Time limit and retry policy for the listing.
        environment: The environment variables described above.
        instance_credentials: Allows asking the node's metadata service for credentials.

    Raises:
        DownloadError: if the objects cannot be found or listed; the type is the reason.
    """
    wanted = instance_credentials or bool(environment.get("GOOGLE_APPLICATION_CREDENTIALS"))
    asking = connections.with_metadata_services() if instance_credentials else connections
    tokens = _tokens(asking) if wanted else lambda: ""
    store = _Store(uri, connections, environment.get("STORAGE_EMULATOR_HOST", ""), tokens)
    if uri.key and not uri.key.endswith("/"):
        stored = patience.insist(store.find, uri.shown)
        if stored is not None:
            path = uri.key.rpartition("/")[2]
            return [Item(path, uri.shown, store.opener(stored), uri.sha256, stored.size)]
    return patience.insist(lambda: folder_items(uri, store.list(), store.opener), uri.shown)


class _Store:
    """One bucket."""

    def __init__(
        self, uri: BucketUri, connections: Connections, endpoint: str, tokens: Tokens
    ) -> None:
        self._uri, self._connections, self._tokens = uri, connections, tokens
        base = (endpoint or _ENDPOINT).rstrip("/")
        base = base if "://" in base else f"http://{base}"
        self._objects = f"{base}/storage/v1/b/{quote(uri.bucket, safe='')}/o"

    def find(self) -> StoredObject | None:
        """Returns the object with exactly this key, or None."""
        try:
            return _stored(self._get(self._url(self._uri.key)))
        except ModelNotFound:
            return None

    def list(self) -> Iterator[StoredObject]:
        """Yields all objects below the folder."""
        query = {
            "prefix": folder_of(self._uri),
            "fields": "nextPageToken,items(name,size,generation)",
        }
        while True:
            page = self._get(f"{self._objects}?{urlencode(query)}")
            for entry in page.get("items", ()):
                yield _stored(entry)
            if not page.get("nextPageToken"):
                return
            query["pageToken"] = str(page["nextPageToken"])

    def opener(self, stored: StoredObject) -> Opener:
        """Returns an opener for one object; every request asks for the same generation."""

        def open_at(offset: int, _validator: str) -> Body:
            query = {"alt": "media", "generation": stored.version}
            url = f"{self._url(stored.key)}?{urlencode(query)}"
            # The URL names one generation, so a range request needs no If-Range condition.
            body = open_url(self._connections, url, self._headers(), offset)
            return dataclasses.replace(body, validator=stored.version, filename="")

        return open_at

    def _url(self, key: str) -> str:
        return f"{self._objects}/{quote(key, safe='')}"

    def _headers(self) -> dict[str, str]:
        token = self._tokens()
        return {"authorization": f"Bearer {token}"} if token else {}

    def _get(self, url: str) -> Mapping[str, Any]:
        with follow(self._connections, url, self._headers()) as response:
            check_status(response)
            try:
                document = json.loads(response.content(_MAX_LISTING_BYTES))
            except ValueError as error:
                raise Transient(f"{self._uri.shown}: the store's answer is not JSON") from error
        if not isinstance(document, dict):
            raise Transient(f"{self._uri.shown}: the store's answer is not a JSON object")
        return document


def _stored(entry: Mapping[str, Any]) -> StoredObject:
    try:
        return StoredObject(str(entry["name"]), int(entry["size"]), str(entry["generation"]))
    except (KeyError, ValueError, TypeError) as error:
        raise DownloadFailed("the store's listing is not one of Google Cloud Storage") from error


def _tokens(connections: Connections) -> Tokens:
    """Returns a function that gives an access token and refreshes it when it expires.

    Raises:
        DownloadFailed: if there are no usable credentials.
    """
    # A credentials file may name a program, which google-auth runs if this variable allows it.
    os.environ["GOOGLE_EXTERNAL_ACCOUNT_ALLOW_EXECUTABLES"] = "0"
    import google.auth  # noqa: PLC0415 - slow to import and rarely needed
    from google.auth.exceptions import GoogleAuthError  # noqa: PLC0415

    request = cast("Any", _Request(connections))  # duck-typed, not a subclass
    try:
        credentials, _ = google.auth.default(scopes=[_SCOPE], request=request)
    except GoogleAuthError as error:
        raise DownloadFailed(f"no Google credentials can be used: {_said(error)}") from error

    def token() -> str:
        try:
            if not credentials.valid:
                credentials.refresh(request)  # type: ignore[no-untyped-call]
        except GoogleAuthError as error:
            raise DownloadFailed(f"Google gave no access token: {_said(error)}") from error
        return str(credentials.token)

    return token


def _said(error: Exception) -> str:
    """Returns the library's own message without the server's response, which follows it."""
    return redact(str(error.args[0])) if error.args else type(error).__name__


class _Answer:
    """A response in the form that google-auth expects."""

    def __init__(self, status: int, headers: Mapping[str, str], data: bytes) -> None:
        self.status, self.headers, self.data = status, headers, data


class _Request:
    """Makes google-auth's requests through our connections."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections

    def __call__(
        self,
        url: str,
        method: str = "GET",
        body: bytes | str | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: object = None,  # noqa: ARG002 - `Connections` has its own
        **_: object,
    ) -> _Answer:
        """Sends one request.

        Raises:
            TransportError: if no response arrives.
            DownloadError: if the address is not allowed or the host does not exist.
        """
        from google.auth.exceptions import TransportError  # noqa: PLC0415 - see `_tokens`

        content = body.encode() if isinstance(body, str) else body
        try:
            with self._connections.request(method, url, dict(headers or {}), content) as response:
                data = response.content(_MAX_LISTING_BYTES)
                return _Answer(response.status, response.headers, data)
        except Transient as error:
            raise TransportError(str(error)) from error  # type: ignore[no-untyped-call]
