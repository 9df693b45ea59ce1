"""A whole first look, and a slow second one: is the store what the API server has?

Before anything is decided, everything is listed once: kopf's watches fill the store kind by kind,
and a service whose pods were not seen yet would be called not ready.

When a watch has to start over after an interruption, kopf lists what exists, but nobody says what
was deleted in between; and should a watch ever hide a change, nothing would come after it. So
metadata of all objects is listed from the API server's cache, a handful of calls however many
services there are: what is gone is forgotten, what is newer is read. Writes nothing.
"""

from __future__ import annotations

import asyncio
import logging
import random
from typing import Any

from inference_operator.errors import ApiError
from inference_operator.observed import service_of
from inference_operator.reconcile import Reconciler
from inference_operator.store import CHILD_KINDS, Key, Thing, version_of
from inference_operator.workqueue import Priority

logger = logging.getLogger(__name__)
SECOND_LOOK_SECONDS = 30.0
KINDS = ("InferenceService", *CHILD_KINDS, "Pod")
Versions = dict[Key, dict[Thing, tuple[str, int]]]


async def prime(reconciler: Reconciler) -> None:
    """Fill an empty store with all there is."""
    for kind in KINDS:
        for namespace in reconciler.config.namespaces or ("",):
            async for body in reconciler.cluster.list_all(kind, namespace):
                _take_in(reconciler, kind, body)
                key = service_of(body["metadata"])
                if kind in CHILD_KINDS and key is not None:
                    # Judged at once, so that not all bodies are in memory at the same time.
                    reconciler.compare(key)


async def resync_forever(reconciler: Reconciler) -> None:
    """Look again soon after the start, then every `resync_seconds`.

    Soon, because what went between the first look and kopf's own is announced by nobody. The
    times are spread, so that replicas do not coincide.
    """
    pause = min(SECOND_LOOK_SECONDS, reconciler.config.resync_seconds)
    while True:
        await asyncio.sleep(pause * random.uniform(0.8, 1.2))  # noqa: S311
        pause = reconciler.config.resync_seconds
        try:
            await resync(reconciler)
        except ApiError as error:
            logger.warning("the resync is put off: %s", error)


async def resync(reconciler: Reconciler) -> None:
    """Forget what is gone, read what is newer, and reconcile every InferenceService once."""
    store = reconciler.store
    # Known before listed: what comes while the lists are read is not mistaken for gone.
    known: Versions = {key: store.versions(key) for key in store.all_keys()}
    there = await _list_all(reconciler)
    for key, things in known.items():
        for (kind, name), (uid, _) in things.items():
            listed_uid, _ = there.get(key, {}).get((kind, name), ("", 0))
            if listed_uid != uid:
                _forget(reconciler, key, (kind, name), uid)
    for key, things in there.items():
        for thing, (uid, version) in things.items():
            seen_uid, seen_version = store.versions(key).get(thing, ("", 0))
            if (seen_uid, seen_version) != (uid, version) and seen_version < version:
                await _read(reconciler, key, thing)
    for key in store.services():
        reconciler.queue.add(key, Priority.RESYNC)


async def _list_all(reconciler: Reconciler) -> Versions:
    """Everything there is, by InferenceService."""
    found: Versions = {}
    for kind in KINDS:
        # An API server whose cache lags would seem to have lost what is merely new.
        at_least = reconciler.store.newest(kind)
        for namespace in reconciler.config.namespaces or ("",):
            for metadata in await reconciler.cluster.list_metadata(kind, namespace, at_least):
                own = (metadata["namespace"], metadata["name"])
                key = own if kind == "InferenceService" else service_of(metadata)
                if key is not None:
                    version = (metadata["uid"], version_of(metadata))
                    found.setdefault(key, {})[kind, metadata["name"]] = version
    return found


def _forget(reconciler: Reconciler, key: Key, thing: Thing, uid: str) -> None:
    kind, name = thing
    logger.info("%s/%s: %s %s went away unnoticed", *key, kind, name)
    if kind == "InferenceService":
        reconciler.store.drop_service(key, uid)
    elif kind == "Pod":
        reconciler.store.drop_pod(key, name)
    else:
        reconciler.store.drop_child(key, kind, uid)


async def _read(reconciler: Reconciler, key: Key, thing: Thing) -> None:
    kind, name = thing
    body = await reconciler.cluster.get(kind, key[0], name)
    if body is not None:
        _take_in(reconciler, kind, body)


def _take_in(reconciler: Reconciler, kind: str, body: dict[str, Any]) -> None:
    if kind == "InferenceService":
        reconciler.service_seen(None, body)
    elif kind == "Pod":
        reconciler.pod_seen(None, body)
    else:
        reconciler.child_seen(None, kind, body)
