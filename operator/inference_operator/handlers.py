"""Where kopf calls in: watch events go into the store and the queue, and nothing else happens.

Only `kopf.on.event` is used for resources. The other handlers of kopf keep their progress as
annotations and finalizers on the resource: writes that an idle operator must not make, and a
deletion that would hang while the operator is down.
"""

from __future__ import annotations

import asyncio
from typing import Any, Self

import kopf

from inference_operator import names
from inference_operator.cluster import PATHS, Cluster
from inference_operator.config import Config
from inference_operator.connection import login
from inference_operator.reconcile import Reconciler
from inference_operator.store import CHILD_KINDS

_OWNED = {names.LABEL_MANAGED_BY: names.MANAGED_BY}


class NoDiffBase(kopf.DiffBaseStorage):
    """No memory of former bodies: nothing here asks what has changed since."""

    def build(self, **_: Any) -> kopf.BodyEssence:
        """Nothing to compare."""
        return kopf.BodyEssence()

    def fetch(self, **_: Any) -> kopf.BodyEssence | None:
        """Nothing was stored."""
        return None

    def store(self, **_: Any) -> None:
        """Nothing is stored."""


class Context:
    """What the handlers share; the operator's one `memo`.

    kopf copies the memo for every object that it sees. All of them mean the same reconciler, so a
    copy is the thing itself.
    """

    def __init__(self, config: Config | None = None) -> None:
        self.config = config or Config.from_environment()
        self.cluster: Cluster | None = None
        self.reconciler: Reconciler | None = None
        self.tasks: list[asyncio.Task[None]] = []

    def __copy__(self) -> Self:
        return self

    @property
    def running(self) -> Reconciler:
        """The reconciler, which exists from `start` on."""
        if self.reconciler is None:
            raise RuntimeError("an event came before the operator was started")
        return self.reconciler


@kopf.on.login()
def authenticate(settings: kopf.OperatorSettings, **_: Any) -> kopf.ConnectionInfo:
    """The same credentials for kopf's watches as for our own calls."""
    return login(settings)


@kopf.on.startup()
async def start(settings: kopf.OperatorSettings, memo: Context, **_: Any) -> None:
    """Quiet kopf down, open the connection and start the workers."""
    config = memo.config
    configure(settings)
    memo.cluster = cluster = Cluster(lambda: login(settings), connections=config.workers * 2)
    await cluster.open()
    memo.reconciler = reconciler = Reconciler(cluster, config)
    memo.tasks = [asyncio.create_task(reconciler.work()) for _ in range(config.workers)]
    reconciler.active.set()


@kopf.on.cleanup()
async def stop(memo: Context, **_: Any) -> None:
    """Let go of the workers and of the connection."""
    for task in memo.tasks:
        task.cancel()
    await asyncio.gather(*memo.tasks, return_exceptions=True)
    if memo.cluster is not None:
        await memo.cluster.close()


def configure(settings: kopf.OperatorSettings) -> None:
    """Settings of kopf that differ from its defaults, each for a reason."""
    settings.persistence.diffbase_storage = NoDiffBase()
    # Events are ours alone: one a change of state, not one a log line.
    settings.posting.enabled = False
    # No peering: its records are writes, and equal priorities freeze each other.
    settings.peering.standalone = True
    # CRDs and namespaces are not watched; that would need rights in the whole cluster.
    settings.scanning.disabled = True
    # A watch that hangs behind a silent network is cut and made again.
    settings.watching.server_timeout = 300
    settings.watching.client_timeout = 330
    settings.watching.connect_timeout = 10
    settings.watching.inactivity_timeout = 90
    settings.watching.chunk_size = 500
    settings.networking.request_timeout = 60
    settings.networking.connect_timeout = 10
    # Events are only noted, so a worker has nothing to wait for.
    settings.queueing.idle_timeout = 0.5
    settings.queueing.worker_limit = 200
    selector = f"{names.LABEL_MANAGED_BY}={names.MANAGED_BY}"
    for kind in (*CHILD_KINDS, "Pod"):
        settings.watching.label_selectors[PATHS[kind][1]] = selector


@kopf.on.event(names.GROUP, names.VERSION, names.PLURAL)
async def service_event(event: kopf.RawEvent, memo: Context, **_: Any) -> None:
    """An InferenceService came, changed or went."""
    memo.running.service_seen(event["type"], event["object"])


@kopf.on.event("apps", "v1", "deployments", labels=_OWNED)
@kopf.on.event("", "v1", "services", labels=_OWNED)
@kopf.on.event("autoscaling", "v2", "horizontalpodautoscalers", labels=_OWNED)
@kopf.on.event("policy", "v1", "poddisruptionbudgets", labels=_OWNED)
async def child_event(
    event: kopf.RawEvent, resource: kopf.Resource, memo: Context, **_: Any
) -> None:
    """A child came, changed or went."""
    memo.running.child_seen(event["type"], resource.kind or "", event["object"])


@kopf.on.event("", "v1", "pods", labels=_OWNED)
async def pod_event(event: kopf.RawEvent, memo: Context, **_: Any) -> None:
    """A pod came, changed or went."""
    memo.running.pod_seen(event["type"], event["object"])
