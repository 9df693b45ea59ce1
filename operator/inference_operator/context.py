"""The parts of a running operator, started and stopped together.

kopf's handlers share one of these as their `memo`. It wires the parts up and holds their tasks; it
decides nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import time
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Self

from inference_operator import __version__, health
from inference_operator.cluster import Cluster, Login
from inference_operator.config import Config
from inference_operator.election import Election
from inference_operator.errors import ApiError, ConfigError
from inference_operator.reconcile import Reconciler
from inference_operator.resync import prime, resync_forever
from inference_operator.watch import WATCHED, Watch

if TYPE_CHECKING:
    from aiohttp import web

logger = logging.getLogger(__name__)
_PATIENCE_SECONDS = 60


class Context:
    """What the handlers share.

    kopf copies its memo for every object that it sees. All of them mean the same operator, so a
    copy is the thing itself.
    """

    def __init__(self, config: Config | None = None) -> None:
        self.config = config or Config.from_environment()
        self._cluster: Cluster | None = None
        self._reconciler: Reconciler | None = None
        self._election: Election | None = None
        self._health: web.AppRunner | None = None
        self._tasks: list[asyncio.Task[None]] = []

    def __copy__(self) -> Self:
        return self

    @property
    def reconciler(self) -> Reconciler:
        """The reconciler, which exists from `start` on."""
        if self._reconciler is None:
            raise RuntimeError("an event came before the operator was started")
        return self._reconciler

    async def start(self, login: Login) -> None:
        """Connect, and start the workers.

        Raises:
            ConfigError: the cluster does not know the resource, or cannot be read.
        """
        config = self.config
        watches = len(WATCHED) * max(1, len(config.namespaces))
        # Half a megabyte each with TLS; the four are for the Lease, the resync and the Events.
        self._cluster = cluster = Cluster(login, connections=config.workers + 4 + watches)
        await cluster.open()
        self._reconciler = reconciler = Reconciler(cluster, config)
        versions = await self._first_look(reconciler)
        for (kind, namespace), version in versions.items():
            if kind in WATCHED:
                self._spawn(Watch(reconciler, kind, namespace, version).run())
        for _ in range(config.workers):
            self._spawn(reconciler.work())
        self._spawn(resync_forever(reconciler))
        if config.leader_elect:
            identity = config.identity or socket.gethostname()
            self._election = Election(
                cluster, config.own_namespace, identity, config.lease_seconds, reconciler.lead
            )
            self._spawn(self._election.run())
        else:
            reconciler.lead()
        if config.health_port:
            self._health = await health.serve(reconciler, config.health_port, self.alive)
        logger.info(
            "inference-operator %s serves %s",
            __version__,
            "namespaces " + ", ".join(config.namespaces) if config.namespaces else "all namespaces",
        )

    async def _first_look(self, reconciler: Reconciler) -> dict[tuple[str, str], str]:
        """Take in all there is; until that can be done there is nothing to decide on.

        Returns what `prime` does.
        """
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while True:
            try:
                return await prime(reconciler)
            except ApiError as error:
                advice = {
                    403: "give the operator its ClusterRole (deploy/install.yaml)",
                    404: "install the resource (kubectl apply -f deploy/install.yaml)",
                }.get(error.status, "check the connection to the API server")
                message = f"the cluster cannot be read: {error}: {advice}"
                # A cluster that is just being set up gets there by itself.
                if time.monotonic() > deadline:
                    raise ConfigError(message) from error
                logger.warning("%s; trying again", message)
                await asyncio.sleep(2)

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        self._tasks.append(asyncio.create_task(work))

    def alive(self) -> bool:
        """Whether no task has died; they are all meant to run for ever."""
        return not any(task.done() for task in self._tasks)

    async def stop(self) -> None:
        """Stop the tasks, let go of the Lease and of the connections; once is enough."""
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._election is not None:
            # Courtesy only: without it the other replica waits for the Lease to run out.
            with contextlib.suppress(ApiError):
                await self._election.give_up()
        if self._health is not None:
            await self._health.cleanup()
        if self._cluster is not None:
            await self._cluster.close()
