"""The only door to the API server: apply, delete, status, events, leases.

Every answer that is not a success becomes an `ApiError`; nothing is retried here but a rejected
credential, because when to try again is the queue's decision. Holds no state about resources.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any, Self

import aiohttp
import kopf

from inference_operator import __version__, names
from inference_operator.errors import ApiError, ApiUnavailableError

Json = Mapping[str, Any]
Login = Callable[[], kopf.ConnectionInfo]

# Where each kind lives; with the verbs of RBAC this is all that the operator ever touches.
PATHS = {
    "InferenceService": (f"apis/{names.API_VERSION}", names.PLURAL),
    "Deployment": ("apis/apps/v1", "deployments"),
    "Service": ("api/v1", "services"),
    "HorizontalPodAutoscaler": ("apis/autoscaling/v2", "horizontalpodautoscalers"),
    "PodDisruptionBudget": ("apis/policy/v1", "poddisruptionbudgets"),
    "Pod": ("api/v1", "pods"),
    "Event": ("api/v1", "events"),
    "Lease": ("apis/coordination.k8s.io/v1", "leases"),
}
_APPLY = "application/apply-patch+yaml"
_MERGE = "application/merge-patch+json"
_METADATA_ONLY = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
_CHUNK = 250
_TIMEOUT = aiohttp.ClientTimeout(total=30, sock_connect=10)


class Cluster:
    """A connection to one API server; an async context manager.

    Args:
        login: gives fresh credentials; called at start and when they were rejected.
        connections: requests that may be under way at the same time.
    """

    def __init__(self, login: Login, connections: int = 32) -> None:
        self._login = login
        self._connections = connections
        self._session: aiohttp.ClientSession | None = None
        self._server = ""
        self._renewal = asyncio.Lock()
        self.calls: dict[tuple[str, str, int], int] = {}

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def open(self) -> None:
        """Log in; the first request opens the first connection."""
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
        """Server-side apply; returns the object as it is now.

        Without `force`, a field that another manager has set to another value is a 409.
        """
        query = {
            "fieldManager": manager,
            "force": "true" if force else "false",
            "fieldValidation": "Strict",
        }
        return await self._request("PATCH", _path_of(manifest), query, manifest, _APPLY)

    async def get(self, kind: str, namespace: str, name: str) -> dict[str, Any] | None:
        """One object, None when it is not there."""
        try:
            return await self._request("GET", path(kind, namespace, name))
        except ApiError as error:
            if error.status == 404:
                return None
            raise

    async def delete(self, kind: str, namespace: str, name: str, uid: str) -> None:
        """Delete exactly the object `uid`; one that is gone already is fine."""
        options = {"preconditions": {"uid": uid}, "propagationPolicy": "Background"}
        try:
            await self._request("DELETE", path(kind, namespace, name), body=options)
        except ApiError as error:
            if error.status not in {404, 409}:
                raise

    async def patch_status(
        self, namespace: str, name: str, uid: str, patch: Json
    ) -> dict[str, Any] | None:
        """Merge `patch` into the status of the InferenceService `uid`; None when it is gone."""
        where = path("InferenceService", namespace, name) + "/status"
        query = {"fieldManager": names.FIELD_MANAGER}
        body = {"metadata": {"uid": uid}, "status": patch}
        try:
            return await self._request("PATCH", where, query, body, _MERGE)
        except ApiError as error:
            # 409 and 422 are the answers to a uid that is another's by now.
            if error.status in {404, 409}:
                return None
            raise

    async def create(self, kind: str, namespace: str, manifest: Json) -> dict[str, Any]:
        """Create an object; a 409 says that it exists."""
        query = {"fieldManager": names.FIELD_MANAGER}
        return await self._request("POST", path(kind, namespace), query, manifest)

    async def replace(self, kind: str, namespace: str, manifest: Json) -> dict[str, Any]:
        """Replace an object at its resource version; a 409 says that another was faster."""
        where = path(kind, namespace, manifest["metadata"]["name"])
        return await self._request("PUT", where, {"fieldManager": names.FIELD_MANAGER}, manifest)

    async def list_all(self, kind: str, namespace: str = "") -> AsyncIterator[dict[str, Any]]:
        """All objects of a kind that belong to an InferenceService, a few hundred a call."""
        query = {"limit": str(_CHUNK), **_selection(kind)}
        while True:
            answer = await self._request("GET", path(kind, namespace), query)
            for item in answer.get("items") or ():
                yield item
            further = (answer.get("metadata") or {}).get("continue")
            if not further:
                return
            query["continue"] = further

    async def list_metadata(
        self, kind: str, namespace: str = "", at_least: int = 0
    ) -> list[dict[str, Any]]:
        """Metadata of all objects of a kind that belong to an InferenceService.

        Read from the API server's own cache, not older than the resource version `at_least`, so
        it costs etcd nothing.
        """
        query = {"resourceVersion": str(at_least), "resourceVersionMatch": "NotOlderThan"}
        query |= _selection(kind)
        answer = await self._request("GET", path(kind, namespace), query, accept=_METADATA_ONLY)
        return [item["metadata"] for item in answer.get("items") or ()]

    async def _request(
        self,
        method: str,
        where: str,
        query: Mapping[str, str] | None = None,
        body: Json | None = None,
        content_type: str = "application/json",
        accept: str = "application/json",
    ) -> dict[str, Any]:
        headers = {"Accept": accept}
        data = None
        if body is not None:
            headers["Content-Type"] = content_type
            data = json.dumps(body, separators=(",", ":")).encode()
        for last in (False, True):
            session = self._session
            if session is None:
                raise ApiUnavailableError(0, "the connection is closed")
            try:
                status, raw, retry_after = await self._send(
                    session, method, where, query, data, headers
                )
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                raise ApiUnavailableError(0, f"{type(error).__name__}: {error}") from error
            self._count(method, where, status)
            if status != 401 or last:
                return _answer(status, raw, retry_after)
            await self._renew(session)
        raise AssertionError("unreachable")

    async def _send(
        self,
        session: aiohttp.ClientSession,
        method: str,
        where: str,
        query: Mapping[str, str] | None,
        data: bytes | None,
        headers: Mapping[str, str],
    ) -> tuple[int, bytes, str]:
        url = f"{self._server}/{where}"
        async with session.request(
            method, url, params=query, data=data, headers=headers
        ) as response:
            raw = await response.read()
            return response.status, raw, response.headers.get("Retry-After", "")

    async def _renew(self, rejected: aiohttp.ClientSession) -> None:
        """Log in again, once for all requests whose credential was rejected."""
        async with self._renewal:
            if self._session is rejected:
                await self._connect()

    def _count(self, method: str, where: str, status: int) -> None:
        parts = where.split("/")
        resource = next((p for p in reversed(parts) if p in _PLURALS), "other")
        key = (method, resource, status)
        self.calls[key] = self.calls.get(key, 0) + 1


_PLURALS = {plural for _, plural in PATHS.values()}


def _selection(kind: str) -> dict[str, str]:
    """Query for the objects that are the operator's business."""
    if kind == "InferenceService":
        return {}
    return {"labelSelector": f"{names.LABEL_MANAGED_BY}={names.MANAGED_BY}"}


def path(kind: str, namespace: str = "", name: str = "") -> str:
    """Path of a collection, or of one object of it; all namespaces when none is given."""
    prefix, plural = PATHS[kind]
    middle = f"namespaces/{namespace}/" if namespace else ""
    return f"{prefix}/{middle}{plural}" + (f"/{name}" if name else "")


def _path_of(manifest: Json) -> str:
    metadata = manifest["metadata"]
    return path(manifest["kind"], metadata["namespace"], metadata["name"])


def _answer(status: int, raw: bytes, retry_after: str) -> dict[str, Any]:
    """The body of a success; anything else raised as what it is."""
    try:
        body = json.loads(raw) if raw else {}
    except ValueError:
        # Proxies and load balancers in front of the API server answer in HTML.
        body = {"message": raw[:200].decode(errors="replace")}
    if 200 <= status < 300:
        answer: dict[str, Any] = body
        return answer
    message, reason = str(body.get("message", "")), str(body.get("reason", ""))
    if status == 429 or status >= 500:
        details = body.get("details") or {}
        wait = retry_after or str(details.get("retryAfterSeconds", ""))
        seconds = float(wait) if wait.isdecimal() else None
        raise ApiUnavailableError(status, message, reason, seconds)
    raise ApiError(status, message, reason)
