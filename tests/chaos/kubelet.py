"""A simulated node: every pod of the operator's starts on it and becomes ready after a moment."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from datetime import UTC, datetime
from types import TracebackType
from typing import Self

from support.api import MERGE, Api, ApiFailed, Json

NODE = "chaos-node"
_PODS = "labelSelector=app.kubernetes.io%2Fmanaged-by%3Dinference-operator"
_LEASE_SECONDS = 10.0
_START_SECONDS = 1.0


class Kubelet:
    """Plays the kubelet of one node for all namespaces; an async context manager."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._addresses = itertools.count(1)
        self._busy: set[asyncio.Task[None]] = set()
        self._known: set[tuple[str, str]] = set()

    async def __aenter__(self) -> Self:
        with contextlib.suppress(ApiFailed):
            await self._api.call("POST", "api/v1/nodes", {"metadata": {"name": NODE}})
        await self._be_ready()
        self._tasks = [asyncio.create_task(self._watch()), asyncio.create_task(self._heartbeat())]
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for task in (*self._tasks, *self._busy):
            task.cancel()
        await asyncio.gather(*self._tasks, *self._busy, return_exceptions=True)

    async def _heartbeat(self) -> None:
        while True:
            await asyncio.sleep(_LEASE_SECONDS)
            with contextlib.suppress(ApiFailed):
                await self._be_ready()

    async def _be_ready(self) -> None:
        now = _now()
        ready = {
            "type": "Ready",
            "status": "True",
            "reason": "KubeletReady",
            "lastHeartbeatTime": now,
            "lastTransitionTime": now,
        }
        patch = {"status": {"conditions": [ready]}}
        kind = "application/strategic-merge-patch+json"
        await self._api.call("PATCH", f"api/v1/nodes/{NODE}/status", patch, Content_Type=kind)

    async def _watch(self) -> None:
        while True:
            with contextlib.suppress(ApiFailed, OSError):
                listed = await self._api.call("GET", f"api/v1/pods?{_PODS}")
                for pod in listed["items"]:
                    self._see(pod)
                version = listed["metadata"]["resourceVersion"]
                path = f"api/v1/pods?{_PODS}&watch=1&resourceVersion={version}&timeoutSeconds=300"
                async for event in self._api.events(path):
                    if event["type"] in {"ADDED", "MODIFIED"}:
                        self._see(event["object"])
                    elif event["type"] == "ERROR":
                        break
            await asyncio.sleep(0.2)

    def _see(self, pod: Json) -> None:
        metadata = pod["metadata"]
        leaving = "deletionTimestamp" in metadata
        key = (metadata["uid"], "leaving" if leaving else "coming")
        if key in self._known:
            return
        self._known.add(key)
        task = asyncio.create_task(self._end(metadata) if leaving else self._start(pod))
        self._busy.add(task)
        task.add_done_callback(self._busy.discard)

    async def _start(self, pod: Json) -> None:
        """Bind a pod and let it answer; one that goes meanwhile is none of ours any more."""
        metadata = pod["metadata"]
        where = f"api/v1/namespaces/{metadata['namespace']}/pods/{metadata['name']}"
        binding = {
            "apiVersion": "v1",
            "kind": "Binding",
            "metadata": {"name": metadata["name"], "uid": metadata["uid"]},
            "target": {"apiVersion": "v1", "kind": "Node", "name": NODE},
        }
        with contextlib.suppress(ApiFailed):
            if "nodeName" not in pod["spec"]:
                await self._api.call("POST", f"{where}/binding", binding)
            number = next(self._addresses)
            address = f"10.77.{number // 250 % 250}.{number % 250 + 1}"
            # Long enough apart that the operator tells of both.
            for ready in (False, True):
                status = _running(pod, address, ready=ready)
                patch = {"metadata": {"uid": metadata["uid"]}, "status": status}
                await self._api.call("PATCH", f"{where}/status", patch, Content_Type=MERGE)
                await asyncio.sleep(_START_SECONDS)

    async def _end(self, metadata: Json) -> None:
        where = f"api/v1/namespaces/{metadata['namespace']}/pods/{metadata['name']}"
        options = {"gracePeriodSeconds": 0, "preconditions": {"uid": metadata["uid"]}}
        with contextlib.suppress(ApiFailed):
            await self._api.call("DELETE", where, options)


def _running(pod: Json, address: str, *, ready: bool) -> Json:
    now, said = _now(), "True" if ready else "False"
    conditions = {
        "PodScheduled": "True",
        "Initialized": "True",
        "ContainersReady": said,
        "Ready": said,
    }
    started = {"state": {"running": {"startedAt": now}}, "ready": ready, "started": ready}
    done = {"exitCode": 0, "reason": "Completed", "startedAt": now, "finishedAt": now}
    ended = {"state": {"terminated": done}, "ready": True, "started": False}
    return {
        "phase": "Running",
        "podIP": address,
        "podIPs": [{"ip": address}],
        "startTime": now,
        "conditions": [
            {"type": kind, "status": value, "lastTransitionTime": now}
            for kind, value in conditions.items()
        ],
        "containerStatuses": [_container(c, started) for c in pod["spec"]["containers"]],
        "initContainerStatuses": [
            _container(c, ended) for c in pod["spec"].get("initContainers", [])
        ],
    }


def _container(spec: Json, state: Json) -> Json:
    common = {"name": spec["name"], "image": spec["image"], "imageID": "", "restartCount": 0}
    return {**common, **state}


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
