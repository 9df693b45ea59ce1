"""Where kopf calls in: an InferenceService goes into the store and the queue, and nothing else.

What belongs to InferenceServices is watched by `watch`. Only `kopf.on.event` is used for
resources. The other handlers of kopf keep their progress as annotations and finalizers on the
resource: writes that an idle operator must not make, and a deletion that would hang while the
operator is down.
"""

from __future__ import annotations

from typing import Any

import kopf
from kopf._core.reactor.inventory import ResourceMemories, ResourceMemory

from inference_operator import names
from inference_operator.connection import login
from inference_operator.context import Context


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


class NoMemories(ResourceMemories):
    """No record of every object: 0.8 KB each, for handlers unused here.

    kopf takes an inventory as an argument but does not export its type.
    """

    async def recall(self, raw_body: kopf.RawBody, **options: Any) -> ResourceMemory:
        """A record that is forgotten after the event."""
        return await super().recall(raw_body, **{**options, "ephemeral": True})


@kopf.on.login()
def authenticate(settings: kopf.OperatorSettings, **_: Any) -> kopf.ConnectionInfo:
    """The same credentials for kopf's watches as for our own calls."""
    return login(settings)


@kopf.on.startup()
async def start(settings: kopf.OperatorSettings, memo: Any, **_: Any) -> None:
    """Quiet kopf down; the command has started the operator's own tasks already."""
    configure(settings)
    if not isinstance(memo, Context):
        # Started as `kopf run -m inference_operator.handlers`.
        memo.context = Context()
        await memo.context.start(lambda: login(settings))


@kopf.on.cleanup()
async def stop(memo: Any, **_: Any) -> None:
    """Let go of everything."""
    await context_of(memo).stop()


def context_of(memo: Any) -> Context:
    """The operator behind kopf's memo, whichever way it was started."""
    context: Context = memo if isinstance(memo, Context) else memo.context
    return context


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


@kopf.on.event(names.GROUP, names.VERSION, names.PLURAL)
async def service_event(event: kopf.RawEvent, memo: Any, **_: Any) -> None:
    """An InferenceService came, changed or went."""
    context_of(memo).reconciler.service_seen(event["type"], event["object"])
