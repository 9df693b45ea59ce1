"""kopf's part: it runs the operator and watches InferenceServices.

Of kopf's handlers for resources only `kopf.on.event` is used: it notes the InferenceService and
returns. The other handlers keep their progress as annotations and finalizers on the resource:
writes that an idle operator must not make, and deletions that would hang while it is down.
"""

from __future__ import annotations

import asyncio.sslproto
import socket
from typing import Any

import kopf
from kopf._cogs.clients.errors import APIError
from kopf._core.reactor.inventory import ResourceMemories, ResourceMemory

from inference_operator import names
from inference_operator.app.context import Context, advice
from inference_operator.config import Config
from inference_operator.errors import ApiError, WatchEndedError
from inference_operator.kubernetes.credentials import login

# asyncio gives every TLS connection a buffer of 256 KiB, at once and for good. Answers are small.
_TLS_BUFFER_BYTES = 64 * 1024


async def run_operator(config: Config) -> None:
    """Run until a signal arrives.

    The parts are started before kopf is: kopf would retry a failed start for ever, or end it with
    a traceback, instead of reporting it in one line.

    Raises:
        ConfigError: The operator cannot start; the message says why and what to do.
        WatchEndedError: The API server does not let it watch InferenceServices any more.
    """
    asyncio.sslproto.SSLProtocol.max_size = _TLS_BUFFER_BYTES
    settings = kopf.OperatorSettings()
    configure(settings)
    context = Context(config)
    # kopf's type for it is a private alias of str.
    identity: Any = config.identity or socket.gethostname()
    try:
        await context.start(lambda: login(settings))
        await kopf.operator(
            clusterwide=not config.namespaces,
            namespaces=config.namespaces,
            settings=settings,
            memo=context,
            memories=NoMemories(),
            # By default kopf looks up the user's name, which the image's numeric user lacks.
            identity=identity,
        )
    except APIError as error:
        raise watch_ended(error) from error
    finally:
        await context.stop()


def watch_ended(error: APIError) -> WatchEndedError:
    """The error for an answer of the API server that ended kopf's watch."""
    failed = ApiError(error.status or 0, error.message or str(error))
    what = "InferenceServices cannot be watched any more"
    return WatchEndedError(f"{what}: {failed}: {advice(failed, resource_was_there=True)}")


class NoDiffBase(kopf.DiffBaseStorage):
    """Stores no former bodies: nothing here asks what has changed."""

    def build(self, **_: Any) -> kopf.BodyEssence:
        """Nothing to compare."""
        return kopf.BodyEssence()

    def fetch(self, **_: Any) -> kopf.BodyEssence | None:
        """Nothing was stored."""
        return None

    def store(self, **_: Any) -> None:
        """Store nothing."""


class NoMemories(ResourceMemories):
    """Keeps no record of each object: 0.8 KB each, for handlers that are not used here.

    kopf accepts an inventory as an argument but does not export its type.
    """

    async def recall(self, raw_body: kopf.RawBody, **options: Any) -> ResourceMemory:
        """A record that is forgotten after the event."""
        return await super().recall(raw_body, **{**options, "ephemeral": True})


def configure(settings: kopf.OperatorSettings) -> None:
    """Change kopf's defaults, each for a reason."""
    settings.persistence.diffbase_storage = NoDiffBase()
    # The operator writes its own Events: one per change of state, not one per log line.
    settings.posting.enabled = False
    # No peering: its records are writes, and equal priorities freeze each other.
    settings.peering.standalone = True
    # CRDs and namespaces are not watched; that would need cluster-wide rights.
    settings.scanning.disabled = True
    # A watch that hangs on a silent network is cut and started again.
    settings.watching.server_timeout = 300
    settings.watching.client_timeout = 330
    settings.watching.connect_timeout = 10
    settings.watching.inactivity_timeout = 90
    settings.watching.chunk_size = 500
    settings.networking.request_timeout = 60
    settings.networking.connect_timeout = 10
    # Handlers only note events, so a worker has nothing to wait for.
    settings.queueing.idle_timeout = 0.5
    settings.queueing.worker_limit = 200


def context_of(memo: Any) -> Context:
    """The operator behind kopf's memo, however it was started."""
    context: Context = memo if isinstance(memo, Context) else memo.context
    return context


@kopf.on.login()
def authenticate(settings: kopf.OperatorSettings, **_: Any) -> kopf.ConnectionInfo:
    """Use the same credentials for kopf's watches as for our own calls."""
    return login(settings)


@kopf.on.startup()
async def start(settings: kopf.OperatorSettings, memo: Any, **_: Any) -> None:
    """Apply our settings; `run_operator` has started the parts already."""
    configure(settings)
    if not isinstance(memo, Context):
        # Started as `kopf run -m inference_operator.app.handlers`.
        memo.context = Context()
        await memo.context.start(lambda: login(settings))


@kopf.on.cleanup()
async def stop(memo: Any, **_: Any) -> None:
    """Stop the parts."""
    await context_of(memo).stop()


@kopf.on.event(names.GROUP, names.VERSION, names.PLURAL)
async def service_event(event: kopf.RawEvent, memo: Any, **_: Any) -> None:
    """Note that an InferenceService was created, changed or deleted."""
    context_of(memo).observer.observe(names.KIND, event["type"], event["object"])
