"""The parts of a running operator, started and stopped together.

kopf's handlers share a `Context` as their `memo`. It wires the parts together and holds their
tasks; it makes no decisions.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import time
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Self

from inference_operator import __version__, names
from inference_operator.app import health
from inference_operator.app.sight import Sight
from inference_operator.cache.store import Store
from inference_operator.config import Config
from inference_operator.errors import ApiError, ApiFailure, ConfigError
from inference_operator.kinds import WATCHED_KINDS
from inference_operator.kubernetes.client import ApiClient, Login
from inference_operator.kubernetes.election import Candidate, Election
from inference_operator.kubernetes.watch import Watch
from inference_operator.objects import Key
from inference_operator.reconcile.loop import Loop
from inference_operator.reconcile.observer import Observer
from inference_operator.reconcile.queue import WorkQueue
from inference_operator.reconcile.reconciler import Reconciler
from inference_operator.reconcile.resync import Resync

if TYPE_CHECKING:
    from aiohttp import web

logger = logging.getLogger(__name__)
_PATIENCE_SECONDS = 60


class Context:
    """A running operator.

    kopf copies its memo for every object that it sees. All copies must refer to the same operator,
    so copying returns the object itself.
    """

    def __init__(self, config: Config | None = None) -> None:
        self.config = config or Config.from_environment()
        self._observer: Observer | None = None
        self._client: ApiClient | None = None
        self._election: Election | None = None
        self._health: web.AppRunner | None = None
        self._tasks: list[asyncio.Task[None]] = []

    def __copy__(self) -> Self:
        return self

    @property
    def observer(self) -> Observer:
        """Receiver of events; available once `start` has been called."""
        if self._observer is None:
            raise RuntimeError("an event arrived before the operator was started")
        return self._observer

    async def start(self, login: Login) -> None:
        """Connect, list everything, and start the workers.

        Raises:
            ConfigError: The cluster does not have the CRD, or cannot be read.
        """
        config = self.config
        watches = len(WATCHED_KINDS) * max(1, len(config.namespaces))
        # Each connection takes half a megabyte with TLS; the extra four are for the Lease, the
        # resync and Events.
        self._client = client = ApiClient(login, connections=config.workers + 4 + watches)
        await client.open()
        store = Store()
        # A namespace with slow responses leaves two workers to the others.
        most = max(1, config.workers - 2)
        queue: WorkQueue[Key] = WorkQueue(group=lambda key: key[0], most=most)
        self._observer = observer = Observer(store, queue, config.status_delay_seconds)
        reconciler = Reconciler(client, store, config)
        resync = Resync(client, observer, reconciler.compare, config.namespaces)
        versions = await _list_everything(resync)
        targets = {one: version for one, version in versions.items() if one[0] in WATCHED_KINDS}
        streams = [
            Watch(client, target, version, observer.observe, resync.relist)
            for target, version in targets.items()
        ]
        for stream in streams:
            self._spawn(stream.run())
        loop = Loop(reconciler, queue, store)
        for _ in range(config.workers):
            self._spawn(loop.run())
        self._spawn(resync.run(config.resync_seconds))
        self._start_leading(client, loop)
        if config.health_port:
            sight = Sight(streams, resync, config.resync_seconds, queue.oldest_s)
            metrics = health.Metrics(loop, client, sight)
            self._health = await health.serve(metrics, config.health_port, self.alive)
        logger.info(
            "inference-operator %s serves %s",
            __version__,
            "namespaces " + ", ".join(config.namespaces) if config.namespaces else "all namespaces",
        )

    def _start_leading(self, client: ApiClient, loop: Loop) -> None:
        """Lead immediately, or take part in the election."""
        config = self.config
        if not config.leader_elect:
            loop.lead()
            return
        identity = config.identity or socket.gethostname()
        candidate = Candidate(identity, config.own_namespace, config.lease_seconds)
        self._election = Election(client, candidate, loop.lead)
        client.may_write = self._election.may_write
        self._spawn(self._election.run())

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        self._tasks.append(asyncio.create_task(work))

    def alive(self) -> bool:
        """Whether all tasks are still running; they are meant to run forever."""
        return not any(task.done() for task in self._tasks)

    async def stop(self) -> None:
        """Stop the tasks, release the Lease and close the connections; idempotent."""
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._election is not None:
            # Best effort: if it fails, another replica waits for the Lease to expire.
            with contextlib.suppress(ApiError):
                await self._election.release()
        if self._health is not None:
            await self._health.cleanup()
        if self._client is not None:
            await self._client.close()


async def _list_everything(resync: Resync) -> dict[tuple[str, str], str]:
    """List every object; returns the result of `Resync.prime`.

    Raises:
        ConfigError: The cluster could not be read for a minute.
    """
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while True:
        try:
            return await resync.prime()
        except ApiError as error:
            message = f"the cluster cannot be read: {error}: {advice(error)}"
            # A cluster that is still being set up will become readable.
            if time.monotonic() > deadline:
                raise ConfigError(message) from error
            logger.warning("%s; retrying", message)
            await asyncio.sleep(2)


def advice(error: ApiError, *, resource_was_there: bool = False) -> str:
    """Suggest what to do about an error that occurred while reading the cluster."""
    if error.failure is ApiFailure.NOT_FOUND and resource_was_there:
        return (
            f"the CustomResourceDefinition {names.PLURAL}.{names.GROUP} was deleted, and every "
            "InferenceService with it: install it again (kubectl apply -f deploy/install.yaml)"
        )
    return {
        ApiFailure.FORBIDDEN: "give the operator its ClusterRole (deploy/install.yaml)",
        ApiFailure.NOT_FOUND: "install the resource (kubectl apply -f deploy/install.yaml)",
    }.get(error.failure, "check the connection to the API server")
