"""A small asynchronous client of the API server for the benchmark's own requests.

Deliberately not the operator's client: what measures must not share code with what is measured.
"""

from __future__ import annotations

import asyncio
import base64
import json
import re
import ssl
import tempfile
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import aiohttp
import yaml

Json = dict[str, Any]
METADATA = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
METADATA_LIST = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
RESOURCES = {
    "InferenceService": "apis/inference-operator.dev/v1beta1/{}/inferenceservices",
    "Deployment": "apis/apps/v1/{}/deployments",
    "Service": "api/v1/{}/services",
    "HorizontalPodAutoscaler": "apis/autoscaling/v2/{}/horizontalpodautoscalers",
    "PodDisruptionBudget": "apis/policy/v1/{}/poddisruptionbudgets",
}
_COUNT = re.compile(r"^apiserver_request_total\{(.*)\} (\S+)$")
_LABEL = re.compile(r'(\w+)="([^"]*)"')


class ApiFailed(Exception):
    """The API server refused a request of the benchmark."""


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

    def _context(self) -> ssl.SSLContext:
        authority = base64.b64decode(self._cluster["certificate-authority-data"]).decode()
        context = ssl.create_default_context(cadata=authority)
        with tempfile.NamedTemporaryFile("wb") as pair:
            for part in ("client-certificate-data", "client-key-data"):
                pair.write(base64.b64decode(self._user[part]) + b"\n")
            pair.flush()
            context.load_cert_chain(pair.name)
        return context

    async def call(self, method: str, path: str, body: Json | None = None, **headers: str) -> Json:
        """One request and its JSON answer.

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
                raise ApiFailed(f"{method} {path}: {answer.status} {text[:300]}")
            found: Json = json.loads(text)
            return found

    async def create(self, kind: str, namespace: str, body: Json) -> Json:
        """Create an object."""
        return await self.call("POST", collection(kind, namespace), body)

    async def apply(self, body: Json, manager: str) -> Json:
        """Server-side apply, as the operator would."""
        metadata = body["metadata"]
        path = f"{collection(body['kind'], metadata['namespace'])}/{metadata['name']}"
        return await self.call(
            "PATCH",
            f"{path}?fieldManager={manager}&force=true",
            body,
            Content_Type="application/apply-patch+yaml",
        )

    async def merge(self, kind: str, namespace: str, name: str, patch: Json) -> Json:
        """Change an object as a person with ``kubectl patch`` would."""
        return await self.call(
            "PATCH",
            f"{collection(kind, namespace)}/{name}?fieldManager=somebody",
            patch,
            Content_Type="application/merge-patch+json",
        )

    async def version(self, kind: str, namespace: str) -> str:
        """The resource version from which a watch misses nothing that happens after this call."""
        path = collection(kind, namespace) + "?limit=1"
        listed = await self.call("GET", path, Accept=METADATA_LIST)
        return str(listed["metadata"]["resourceVersion"])

    async def watch(
        self, kind: str, namespace: str, version: str, *, whole: bool
    ) -> AsyncIterator[Json]:
        """Events of a kind since a resource version; metadata only unless ``whole``."""
        path = collection(kind, namespace)
        accept = "application/json" if whole else METADATA
        async with self._session.get(
            f"{path}?watch=1&resourceVersion={version}", headers={"Accept": accept}
        ) as answer:
            buffer = b""
            async for chunk in answer.content.iter_any():
                *lines, buffer = (buffer + chunk).split(b"\n")
                for line in lines:
                    yield json.loads(line)

    async def counts(self) -> dict[tuple[str, str, str], int]:
        """Requests that the API server has answered, by verb, resource and subresource."""
        async with self._session.get("metrics") as answer:
            return parse_counts(await answer.text())

    async def wait_for_crd(self) -> None:
        """Wait until InferenceServices can be listed.

        Raises:
            ApiFailed: They cannot within half a minute.
        """
        for attempt in range(120):
            try:
                await self.call("GET", collection("InferenceService", "bench") + "?limit=1")
            except ApiFailed:
                if attempt == 119:
                    raise
                await asyncio.sleep(0.25)
            else:
                return


def collection(kind: str, namespace: str) -> str:
    """The path of a kind's objects in a namespace."""
    return RESOURCES[kind].format(f"namespaces/{namespace}")


def parse_counts(text: str) -> dict[tuple[str, str, str], int]:
    """``apiserver_request_total`` from Prometheus's text, summed over everything else."""
    found: dict[tuple[str, str, str], int] = {}
    for line in text.splitlines():
        match = _COUNT.match(line)
        if match:
            labels = dict(_LABEL.findall(match[1]))
            key = (labels["verb"], labels["resource"], labels["subresource"])
            found[key] = found.get(key, 0) + int(float(match[2]))
    return found


def written(
    before: Mapping[tuple[str, str, str], int], after: Mapping[tuple[str, str, str], int]
) -> int:
    """Writes between two readings that an operator answers for.

    The controllers of the cluster write the status of Deployments and autoscalers, events and
    leases; those are left out. An InferenceService's status is written by operators alone.
    """
    return sum(
        count - before.get(key, 0)
        for key, count in after.items()
        if key[0] in {"POST", "PUT", "PATCH", "APPLY", "DELETE"}
        and (key[1] == "inferenceservices" or (key[1] in _CHILDREN and key[2] == ""))
    )


_CHILDREN = {"deployments", "services", "horizontalpodautoscalers", "poddisruptionbudgets"}
