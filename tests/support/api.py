"""An asynchronous client of the API server for the tests' own requests.

Deliberately not the operator's client: what measures or judges must not share code with what is
measured or judged.
"""

from __future__ import annotations

import asyncio
import base64
import json
import ssl
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import aiohttp
import yaml

Json = dict[str, Any]
Body = Json | list[Json]
APPLY = "application/apply-patch+yaml"
METADATA_LIST = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
MERGE = "application/merge-patch+json"


class ApiFailed(Exception):
    """The API server refused a request of the test's own; `status` is the HTTP status."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Api:
    """A connection; an async context manager.

    Args:
        kubeconfig: With one cluster and a client certificate.
        connections: Requests under way at once.
    """

    def __init__(self, kubeconfig: Path, connections: int = 64) -> None:
        document = yaml.safe_load(kubeconfig.read_text(encoding="utf-8"))
        self._cluster = document["clusters"][0]["cluster"]
        self._user = document["users"][0]["user"]
        self._connections = connections

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            base_url=self._cluster["server"].rstrip("/") + "/",
            connector=aiohttp.TCPConnector(limit=self._connections, ssl=self._context()),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=10),
        )
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._session.close()
        # TLS connections need a moment of the loop to close (aiohttp, "Graceful Shutdown").
        await asyncio.sleep(0.25)

    def _context(self) -> ssl.SSLContext:
        authority = base64.b64decode(self._cluster["certificate-authority-data"]).decode()
        context = ssl.create_default_context(cadata=authority)
        with tempfile.NamedTemporaryFile("wb") as pair:
            for part in ("client-certificate-data", "client-key-data"):
                pair.write(base64.b64decode(self._user[part]) + b"\n")
            pair.flush()
            context.load_cert_chain(pair.name)
        return context

    async def call(self, method: str, path: str, body: Body | None = None, **headers: str) -> Json:
        """One request and its JSON answer.

        Raises:
            ApiFailed: The answer was no success.
        """
        found: Json = json.loads(await self.text(method, path, body, **headers))
        return found

    async def text(self, method: str, path: str, body: Body | None = None, **headers: str) -> str:
        """One request and its answer as it came.

        Raises:
            ApiFailed: The answer was no success.
        """
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        data = None if body is None else json.dumps(body).encode()
        if data and "Content-Type" not in sent:
            sent["Content-Type"] = "application/json"
        async with self._session.request(method, path, data=data, headers=sent) as answer:
            text = await answer.text()
            if answer.status >= 300:
                raise ApiFailed(answer.status, f"{method} {path}: {answer.status} {text[:600]}")
            return text

    async def events(self, path: str, accept: str = "application/json") -> AsyncIterator[Json]:
        """What a watch of `path` tells; the query is part of the path."""
        async with self._session.get(path, headers={"Accept": accept}) as answer:
            buffer = b""
            async for chunk in answer.content.iter_any():
                *lines, buffer = (buffer + chunk).split(b"\n")
                for line in lines:
                    yield json.loads(line)
