"""A slow second look: is what the watches told still there?

When a watch has to start over after an interruption, kopf lists what exists, but nobody says what
was deleted in between. Metadata of all objects is listed from the API server's cache, a handful of
calls however many services there are, and whatever has gone is forgotten. Writes nothing.
"""

from __future__ import annotations

import asyncio
import logging
import random

from inference_operator.errors import ApiError
from inference_operator.observed import service_of
from inference_operator.reconcile import Reconciler
from inference_operator.store import CHILD_KINDS, Key
from inference_operator.workqueue import Priority

logger = logging.getLogger(__name__)


async def resync_forever(reconciler: Reconciler) -> None:
    """Look again every `resync_seconds`, spread so that replicas do not coincide."""
    while True:
        await asyncio.sleep(reconciler.config.resync_seconds * random.uniform(0.8, 1.2))  # noqa: S311
        try:
            await resync(reconciler)
        except ApiError as error:
            logger.warning("the resync is put off: %s", error)


async def resync(reconciler: Reconciler) -> None:
    """Forget what is gone, and reconcile every InferenceService once."""
    store = reconciler.store
    known = {key: store.uids(key) for key in store.all_keys()}
    there = await _listed(reconciler)
    for key, uids in known.items():
        for kind, name, uid in uids - there.get(key, set()):
            logger.info("%s/%s: %s %s went away unnoticed", *key, kind, name)
            if kind == "InferenceService":
                store.drop_service(key, uid)
            elif kind == "Pod":
                store.drop_pod(key, name)
            else:
                store.drop_child(key, kind, uid)
    for key in store.services():
        reconciler.queue.add(key, Priority.RESYNC)


async def _listed(reconciler: Reconciler) -> dict[Key, set[tuple[str, str, str]]]:
    """Kind, name and uid of everything there is, by InferenceService."""
    found: dict[Key, set[tuple[str, str, str]]] = {}
    for kind in ("InferenceService", *CHILD_KINDS, "Pod"):
        for namespace in reconciler.config.namespaces or ("",):
            for item in await reconciler.cluster.list_metadata(kind, namespace):
                metadata = item["metadata"]
                own = (metadata["namespace"], metadata["name"])
                key = own if kind == "InferenceService" else service_of(metadata)
                if key is not None:
                    entry = (kind, metadata["name"], metadata["uid"])
                    found.setdefault(key, set()).add(entry)
    return found
