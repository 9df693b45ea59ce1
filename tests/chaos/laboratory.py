"""Where scenarios run: a control plane, a simulated node, namespaces, proxies and operators."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import itertools
import secrets
from collections.abc import AsyncIterator, Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

from chaos.kubelet import Kubelet
from chaos.process import Process, kubeconfig_through
from chaos.proxy import Proxy, Thing
from chaos.state import (
    CHILDREN,
    NOT_COMPARED,
    PLURAL,
    SERVICES,
    State,
    differences,
    look,
    settled_by_controllers,
    state_of,
)
from support.api import Api, ApiFailed, Json
from support.kube import Kubectl

# Short, so that what no event tells is found out soon; a multiple of it is waited for quiet.
RESYNC_SECONDS = 5.0
QUIET_SECONDS = 1.5 * RESYNC_SECONDS
PATIENCE_SECONDS = 90.0
_LOOK_SECONDS = 1.0


class Laboratory:
    """One control plane and all that is done there.

    Args:
        api: A connection with every right.
        identity: Kubeconfig of the operator's ServiceAccount.
        folder: For logs and kubeconfigs.
    """

    def __init__(self, api: Api, identity: Path, folder: Path) -> None:
        self.api = api
        self.folder = folder
        self.identity = identity
        self._numbers = itertools.count()
        cluster: Any = yaml.safe_load(identity.read_text())["clusters"][0]["cluster"]
        self._server = cluster["server"]
        self._authority = base64.b64decode(cluster["certificate-authority-data"]).decode()

    def proxy(self, *, one_by_one: bool = False, versions: dict[Thing, str] | None = None) -> Proxy:
        """A proxy to this control plane; not yet open."""
        return Proxy(self._server, self._authority, one_by_one=one_by_one, versions=versions)

    def operator(self, proxy: Proxy, namespaces: Iterable[str], **settings: str) -> Process:
        """An operator behind a proxy; not yet started."""
        name = f"operator-{next(self._numbers)}"
        kubeconfig = kubeconfig_through(self.identity, proxy.address, self.folder / f"{name}.yaml")
        settings = {"RESYNC_SECONDS": str(RESYNC_SECONDS), **settings}
        served = ",".join(namespaces)
        return Process(kubeconfig, self.folder / f"{name}.log", NAMESPACES=served, **settings)

    async def namespaces(self, count: int) -> list[str]:
        """Fresh namespaces in which pods can be made."""
        names = [f"chaos-{secrets.token_hex(4)}" for _ in range(count)]
        await asyncio.gather(*(self._namespace(name) for name in names))
        return names

    async def _namespace(self, name: str) -> None:
        await self.api.call("POST", "api/v1/namespaces", {"metadata": {"name": name}})
        for _ in range(600):
            with contextlib.suppress(ApiFailed):
                await self.api.call("GET", f"api/v1/namespaces/{name}/serviceaccounts/default")
                return
            await asyncio.sleep(0.1)
        raise AssertionError(f"namespace {name} has no default ServiceAccount after a minute")

    async def clear(self, namespaces: Iterable[str]) -> None:
        """Delete the services, so that nothing is left to do for anybody; namespaces stay."""
        await asyncio.gather(
            *(
                self.api.call("DELETE", SERVICES.format(f"namespaces/{namespace}/"))
                for namespace in namespaces
            )
        )

    async def states(self, namespaces: Iterable[str]) -> dict[str, State]:
        """The present state of each namespace."""
        found = await look(self.api)
        return {name: state_of(name, found.get(name)) for name in namespaces}

    async def settle(
        self, expected: Mapping[str, State], patience: float = PATIENCE_SECONDS
    ) -> dict[str, list[str]]:
        """Wait until every namespace is as expected; gives what is still different, in words."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + patience
        while True:
            states = await self.states(expected)
            wrong = {name for name in expected if states[name] != expected[name]}
            if not wrong or loop.time() > deadline:
                return {name: differences(states[name], expected[name]) for name in sorted(wrong)}
            await asyncio.sleep(_LOOK_SECONDS)

    async def rest(self, proxy: Proxy, namespaces: Iterable[str], quiet: float) -> None:
        """Wait until the controllers have seen everything and the operator has come to rest.

        Raises:
            AssertionError: it does not.
        """
        loop, names = asyncio.get_running_loop(), list(namespaces)
        deadline = loop.time() + PATIENCE_SECONDS + quiet
        since, seen = loop.time(), -1
        while loop.time() - since < quiet:
            found = await look(self.api)
            acted = all(settled_by_controllers(found.get(name)) for name in names)
            # One that is refused again and again is at rest: it changes nothing.
            done = sum(write.status in {200, 201} and not write.idle for write in proxy.writes)
            if done != seen or not acted:
                since, seen = loop.time(), done
            assert loop.time() < deadline, f"no rest: {proxy.writes[-5:]}"
            await asyncio.sleep(_LOOK_SECONDS)

    async def told(self, namespace: str) -> list[tuple[str, str]]:
        """Type and reason of the Events about the service of a namespace, as often as they came."""
        items: list[Json] = (await self.api.call("GET", f"api/v1/namespaces/{namespace}/events"))[
            "items"
        ]
        return sorted(
            (event["type"], event["reason"])
            for event in items
            if event["involvedObject"]["kind"] == "InferenceService"
        )


@contextlib.asynccontextmanager
async def laboratory(cluster: Kubectl, identity: Path, folder: Path) -> AsyncIterator[Laboratory]:
    """A laboratory on a control plane that runs."""
    async with Api(cluster.kubeconfig) as api, Kubelet(api):
        yield Laboratory(api, identity, folder)


def unknown_kinds(proxy: Proxy) -> set[str]:
    """Kinds that the operator wrote and that no comparison looks at."""
    written = {write.mark.resource.partition("/")[0] for write in proxy.writes}
    return written - {PLURAL, *CHILDREN, *NOT_COMPARED}


def tracebacks(process: Process) -> list[str]:
    """Where the operator's log has one, the lines around it."""
    lines = process.log.read_text().splitlines()
    return [
        "\n".join(lines[max(0, number - 1) : number + 25])
        for number, line in enumerate(lines)
        if line.startswith("Traceback")
    ]
