"""The benchmark's own requests to the API server, by kind, and the API server's own counts."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Mapping

from support import api
from support.api import APPLY, MERGE, METADATA_LIST, ApiFailed, Json

METADATA = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
RESOURCES = {
    "InferenceService": "apis/inference-operator.dev/v1beta1/{}/inferenceservices",
    "Deployment": "apis/apps/v1/{}/deployments",
    "Service": "api/v1/{}/services",
    "HorizontalPodAutoscaler": "apis/autoscaling/v2/{}/horizontalpodautoscalers",
    "PodDisruptionBudget": "apis/policy/v1/{}/poddisruptionbudgets",
}
_COUNT = re.compile(r"^apiserver_request_total\{(.*)\} (\S+)$")
_LABEL = re.compile(r'(\w+)="([^"]*)"')


class Api(api.Api):
    """A connection that knows the kinds of the benchmark."""

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
            Content_Type=APPLY,
        )

    async def merge(self, kind: str, namespace: str, name: str, patch: Json) -> Json:
        """Change an object as a person with ``kubectl patch`` would."""
        return await self.call(
            "PATCH",
            f"{collection(kind, namespace)}/{name}?fieldManager=somebody",
            patch,
            Content_Type=MERGE,
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
        async for event in self.events(f"{path}?watch=1&resourceVersion={version}", accept):
            yield event

    async def counts(self) -> dict[tuple[str, str, str], int]:
        """Requests that the API server has answered, by verb, resource and subresource."""
        return parse_counts(await self.text("GET", "metrics"))

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
