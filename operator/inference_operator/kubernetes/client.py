"""The client of the API server: the only module that sends requests to it.

Every unsuccessful response becomes an `ApiError`. Only requests with rejected credentials are
retried here; all other retries are up to the caller. Holds no state about resources.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from typing import Any, Self

import aiohttp
import kopf
import msgspec
from aiohttp.abc import AbstractStreamWriter

from inference_operator import __version__, names
from inference_operator.errors import (
    ApiError,
    ApiFailure,
    ApiUnavailableError,
    NotLeadingError,
)
from inference_operator.kinds import KINDS
from inference_operator.kubernetes.paths import path, path_of, selection
from inference_operator.kubernetes.responses import (
    Metadata,
    decode,
    decode_event,
    decode_metadata,
    raise_error,
)
from inference_operator.objects import Json

Login = Callable[[], kopf.ConnectionInfo]

_APPLY = "application/apply-patch+yaml"
_MERGE = "application/merge-patch+json"
_METADATA_ONLY = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
_PLURALS = {kind.plural for kind in KINDS.values()}
_LEASES = f"/{KINDS['Lease'].plural}"
_CHUNK = 250
_TIMEOUT = aiohttp.ClientTimeout(total=30, sock_connect=10)
# The API server sends a bookmark about once a minute; longer silence means a dead connection.
_WATCH_TIMEOUT = aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=90)
_WATCH_SECONDS = 300


class _FencedBody(aiohttp.BytesPayload):
    """A request body that checks again right before it is written with its headers.

    The process may have been frozen since the first check.
    """

    def __init__(self, value: bytes, content_type: str, may_send: Callable[[], bool]) -> None:
        super().__init__(value, content_type=content_type)
        self._may_send = may_send

    async def write_with_length(
        self, writer: AbstractStreamWriter, content_length: int | None
    ) -> None:
        """Write the body, or fail before the first byte."""
        if not self._may_send():
            raise NotLeadingError
        await super().write_with_length(writer, content_length)


class ApiClient:
    """A client of one API server; an async context manager.

    Args:
        login: Returns fresh credentials; called at startup and when credentials are rejected.
        connections: Maximum number of concurrent requests.

    Attributes:
        may_write: Called before every write except those to the Lease, because another replica may
            have taken over since the write was decided.
        calls: Number of responses so far, by method, resource and status.
        connection_errors: Number of requests and watches that got no response or lost their
            connection.
    """

    def __init__(self, login: Login, connections: int = 32) -> None:
        self._login = login
        self._connections = connections
        self._session: aiohttp.ClientSession | None = None
        self._server = ""
        self._renewal = asyncio.Lock()
        self.calls: dict[tuple[str, str, int], int] = {}
        self.connection_errors = 0
        self.may_write: Callable[[], bool] = lambda: True

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def open(self) -> None:
        """Load credentials; the first request opens the first connection."""
        await self._connect()

    async def close(self) -> None:
        """Close all connections."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def _connect(self) -> None:
        info = self._login()
        old, self._server = self._session, info.server.rstrip("/")
        connector = aiohttp.TCPConnector(limit=self._connections, ssl=info.as_ssl_context())
        self._session = aiohttp.ClientSession(
            connector=connector,
            timeout=_TIMEOUT,
            headers={
                **info.as_http_headers(),
                "Accept": "application/json",
                "User-Agent": f"inference-operator/{__version__}",
            },
        )
        if old is not None:
            await old.close()

    async def apply(self, manifest: Json, manager: str, *, force: bool) -> dict[str, Any]:
        """Server-side apply; returns the resulting object.

        Without `force`, it is a conflict if another manager has set a field to a different value.
        """
        query = {
            "fieldManager": manager,
            "force": "true" if force else "false",
            "fieldValidation": "Strict",
        }
        return decode(await self._request("PATCH", path_of(manifest), query, manifest, _APPLY))

    async def get(self, kind: str, namespace: str, name: str) -> dict[str, Any] | None:
        """Return one object, or None if it does not exist."""
        try:
            return decode(await self._request("GET", path(kind, namespace, name)))
        except ApiError as error:
            if error.failure is ApiFailure.NOT_FOUND:
                return None
            raise

    async def delete(self, kind: str, namespace: str, name: str, uid: str) -> None:
        """Delete the object with this UID, if it still exists.

        Raises:
            ApiError: The request failed; a conflict if another object now has this name.
        """
        options = {"preconditions": {"uid": uid}, "propagationPolicy": "Background"}
        try:
            decode(await self._request("DELETE", path(kind, namespace, name), body=options))
        except ApiError as error:
            if error.failure is not ApiFailure.NOT_FOUND:
                raise

    async def patch_status(
        self, namespace: str, name: str, uid: str, patch: Json
    ) -> dict[str, Any] | None:
        """Merge `patch` into the status of an InferenceService; None if it no longer exists.

        Raises:
            ApiError: The request failed; a conflict if another InferenceService now has this name.
        """
        where = path("InferenceService", namespace, name) + "/status"
        query = {"fieldManager": names.FIELD_MANAGER}
        body = {"metadata": {"uid": uid}, "status": patch}
        try:
            return decode(await self._request("PATCH", where, query, body, _MERGE))
        except ApiError as error:
            if error.failure is ApiFailure.NOT_FOUND:
                return None
            raise

    async def create(self, kind: str, namespace: str, manifest: Json) -> dict[str, Any]:
        """Create an object; it is a conflict if it exists."""
        query = {"fieldManager": names.FIELD_MANAGER}
        return decode(await self._request("POST", path(kind, namespace), query, manifest))

    async def replace(self, kind: str, namespace: str, manifest: Json) -> dict[str, Any]:
        """Replace an object; it is a conflict if its resource version has changed."""
        where = path(kind, namespace, manifest["metadata"]["name"])
        return decode(
            await self._request("PUT", where, {"fieldManager": names.FIELD_MANAGER}, manifest)
        )

    async def list_all(
        self, kind: str, namespace: str = ""
    ) -> AsyncIterator[tuple[str, list[dict[str, Any]]]]:
        """Yield all objects of a kind that the operator manages, in pages.

        Each page comes with the resource version of the whole list, from which to watch.
        """
        query = {"limit": str(_CHUNK), **selection(kind)}
        while True:
            answer = decode(await self._request("GET", path(kind, namespace), query))
            yield answer["metadata"]["resourceVersion"], answer.get("items") or []
            further = answer["metadata"].get("continue")
            if not further:
                return
            query["continue"] = further

    async def list_metadata(self, kind: str, namespace: str = "") -> AsyncIterator[Metadata]:
        """Yield the metadata of all objects of a kind that the operator manages."""
        query = {"limit": str(_CHUNK), **selection(kind)}
        while True:
            answer = decode_metadata(
                await self._request("GET", path(kind, namespace), query, accept=_METADATA_ONLY)
            )
            for item in answer.get("items") or ():
                yield item["metadata"]
            further = answer["metadata"].get("continue")
            if not further:
                return
            query["continue"] = further

    async def watch(
        self, kind: str, namespace: str, version: str
    ) -> AsyncGenerator[dict[str, Any]]:
        """Yield events of all objects of a kind that the operator manages, including BOOKMARKs.

        The API server ends the watch after some minutes: continue from the resource version of the
        last event.

        Raises:
            ApiError: The watch failed; `ApiFailure.EXPIRED` requires a new listing.
        """
        session, where = self._open_session(), path(kind, namespace)
        # Jitter, so that the watches of all kinds are not renewed at the same time.
        seconds = round(_WATCH_SECONDS * random.uniform(0.8, 1.2))  # noqa: S311
        query = {
            "watch": "true",
            "allowWatchBookmarks": "true",
            "resourceVersion": version,
            "timeoutSeconds": str(seconds),
            **selection(kind),
        }
        try:
            async with session.get(
                f"{self._server}/{where}", params=query, timeout=_WATCH_TIMEOUT
            ) as response:
                self._count("WATCH", where, response.status)
                if response.status != 200:
                    if response.status == 401:
                        await self._renew(session)
                    raise_error(response.status, await response.read())
                # Silent for too long: the watch may be dead, and a new one is cheap.
                with contextlib.suppress(aiohttp.SocketTimeoutError):
                    async for line in _lines(response.content):
                        yield decode_event(line)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise self._unavailable(error) from error

    async def _request(
        self,
        method: str,
        where: str,
        query: Mapping[str, str] | None = None,
        body: Json | None = None,
        content_type: str = "application/json",
        accept: str = "application/json",
    ) -> bytes:
        """Send a request; returns the body of a successful response.

        Raises:
            ApiError: The response is unsuccessful or missing.
        """
        headers = {"Accept": accept}
        data: _FencedBody | None = None
        if body is not None:
            headers["Content-Type"] = content_type
            data = _FencedBody(msgspec.json.encode(body), content_type, self._fence(where))
        for last in (False, True):
            session = self._open_session()
            if method != "GET" and not self._fence(where)():
                raise NotLeadingError
            try:
                status, raw, retry_after = await self._send(
                    session, method, where, query, data, headers
                )
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                raise self._unavailable(error) from error
            self._count(method, where, status)
            if 200 <= status < 300:
                return raw
            if status != 401 or last:
                raise_error(status, raw, retry_after)
            await self._renew(session)
        raise AssertionError("unreachable")

    def _fence(self, where: str) -> Callable[[], bool]:
        """Return a check for writes to this path; it runs again when the bytes are sent."""
        return lambda: _LEASES in where or self.may_write()

    def _unavailable(self, error: Exception) -> ApiUnavailableError:
        self.connection_errors += 1
        return ApiUnavailableError(0, f"{type(error).__name__}: {error}")

    def _open_session(self) -> aiohttp.ClientSession:
        if self._session is None:
            raise ApiUnavailableError(0, "the client is closed")
        return self._session

    async def _send(
        self,
        session: aiohttp.ClientSession,
        method: str,
        where: str,
        query: Mapping[str, str] | None,
        data: _FencedBody | None,
        headers: Mapping[str, str],
    ) -> tuple[int, bytes, str]:
        url = f"{self._server}/{where}"
        async with session.request(
            method, url, params=query, data=data, headers=headers
        ) as response:
            raw = await response.read()
            return response.status, raw, response.headers.get("Retry-After", "")

    async def _renew(self, rejected: aiohttp.ClientSession) -> None:
        """Reload credentials, once for all requests whose credentials were rejected."""
        async with self._renewal:
            if self._session is rejected:
                await self._connect()

    def _count(self, method: str, where: str, status: int) -> None:
        parts = where.split("/")
        resource = next((p for p in reversed(parts) if p in _PLURALS), "other")
        key = (method, resource, status)
        self.calls[key] = self.calls.get(key, 0) + 1


async def _lines(stream: aiohttp.StreamReader) -> AsyncIterator[bytes]:
    """Yield complete lines of any length; an incomplete last line is dropped."""
    rest = b""
    async for block in stream.iter_any():
        *lines, rest = (rest + block).split(b"\n")
        for line in lines:
            yield line
