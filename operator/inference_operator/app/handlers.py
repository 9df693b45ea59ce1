"""kopf handlers: kopf runs the operator and watches InferenceServices.

`kopf.on.event` is the only resource handler in use: it records the InferenceService and returns.
The other handlers store their progress in annotations and finalizers on the resource. An idle
operator must not make such writes, and deletions would hang while the operator is down.
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

# asyncio permanently allocates a 256 KiB buffer per TLS connection, but responses are small.
_TLS_BUFFER_BYTES = 64 * 1024


async def run_operator(config: Config) -> None:
    """Run until a signal arrives.

    The parts start before kopf: kopf would retry a failed start forever, or end with a traceback
    instead of a one-line error.

    Raises:
        ConfigError: The operator cannot start; the message says why and what to do.
        WatchEndedError: The API server no longer allows watching InferenceServices.
    """
    asyncio.sslproto.SSLProtocol.max_size = _TLS_BUFFER_BYTES
    settings = kopf.OperatorSettings()
    configure(settings)
    context = Context(config)
    # kopf's type for identities is a private alias of str.
    identity: Any = config.identity or socket.gethostname()
    try:
        await context.start(lambda: login(settings))
        await kopf.operator(
            clusterwide=not config.namespaces,
            namespaces=config.namespaces,
            settings=settings,
            memo=context,
            memories=NoMemories(),
            # By default kopf looks up the user name, which the image's numeric user lacks.
            identity=identity,
        )
    except APIError as error:
        raise watch_ended(error) from error
    finally:
        await context.stop()


def watch_ended(error: APIError) -> WatchEndedError:
    """Build the error for an API server response that ended kopf's watch."""
    failed = ApiError(error.status or 0, error.message or str(error))
    what = "InferenceServices cannot be watched any more"
    return WatchEndedError(f"{what}: {failed}: {advice(failed, resource_was_there=True)}")


class NoDiffBase(kopf.DiffBaseStorage):
    """Stores no previous bodies, because no handler needs diffs."""

    def build(self, **_: Any) -> kopf.BodyEssence:
        """Return nothing to compare."""
        return kopf.BodyEssence()

    def fetch(self, **_: Any) -> kopf.BodyEssence | None:
        """Return None, as nothing is stored."""
        return None

    def store(self, **_: Any) -> None:
        """Store nothing."""


class NoMemories(ResourceMemories):
    """Keeps no per-object records, which take 0.8 KB each and serve only unused handlers.

    kopf accepts an inventory as an argument but does not export its type.
    """

    async def recall(self, raw_body: kopf.RawBody, **options: Any) -> ResourceMemory:
        """Return a record that is discarded after the event."""
        return await super().recall(raw_body, **{**options, "ephemeral": True})


def configure(settings: kopf.OperatorSettings) -> None:
    """Override kopf's defaults."""
    settings.persistence.diffbase_storage = NoDiffBase()
    # The operator writes its own Events: one per change of state, not one per log line.
    settings.posting.enabled = False
    # No peering: its records are writes, and equal priorities freeze each other.
    settings.peering.standalone = True
    # CRDs and namespaces are not watched, as that would require cluster-wide permissions.
    settings.scanning.disabled = True
    # A watch that hangs on a silent network is ended and restarted.
    settings.watching.server_timeout = 300
    settings.watching.client_timeout = 330
    settings.watching.connect_timeout = 10
    settings.watching.inactivity_timeout = 90
    settings.watching.chunk_size = 500
    settings.networking.request_timeout = 60
    settings.networking.connect_timeout = 10
    # Handlers only record events, so a worker has nothing to wait for.
    settings.queueing.idle_timeout = 0.5
    settings.queueing.worker_limit = 200


def context_of(memo: Any) -> Context:
    """Return the operator from kopf's memo, regardless of how it was started."""
    context: Context = memo if isinstance(memo, Context) else memo.context
    return context


@kopf.on.login()
def authenticate(settings: kopf.OperatorSettings, **_: Any) -> kopf.ConnectionInfo:
    """Use the same credentials for kopf's watches as for our own calls."""
    return login(settings)


@kopf.on.startup()
async def start(settings: kopf.OperatorSettings, memo: Any, **_: Any) -> None:
    """Apply our settings; `run_operator` has already started the parts."""
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
    """Record that an InferenceService was created, changed or deleted."""
    context_of(memo).observer.observe(names.KIND, event["type"], event["object"])
