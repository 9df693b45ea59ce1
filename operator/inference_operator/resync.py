"""A whole first look, and a slow second one: is the store what the API server has?

Before anything is decided, everything is listed once: a service whose pods were not seen yet would
be called not ready. The watches go on from there. One that cannot go on lists its kind again, and
what is not listed any more went away in between.

Should a watch ever hide a change, nothing would come after it. So metadata of all objects is
listed, a few hundred a call: what is gone is forgotten, what is newer is read. Writes nothing.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Mapping
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


async def prime(reconciler: Reconciler) -> dict[tuple[str, str], str]:
    """Fill an empty store with all there is.

    Returns:
        By kind and namespace the resource version from which a watch goes on.
    """
    return {
        (kind, namespace): await take_in_all(reconciler, kind, namespace)
        for kind in KINDS
        for namespace in reconciler.config.namespaces or ("",)
    }


async def take_in_all(reconciler: Reconciler, kind: str, namespace: str) -> str:
    """Take in every object of a kind, and forget those that are gone.

    Returns:
        The resource version from which a watch goes on.
    """
    store = reconciler.store
    # Known before listed: what comes while the list is read is not mistaken for gone.
    known = {
        (key, thing): uid
        for key in store.all_keys()
        if namespace in {"", key[0]}
        for thing, (uid, _) in store.versions(key).items()
        if thing[0] == kind
    }
    version = ""
    async for listed, bodies in reconciler.cluster.list_all(kind, namespace):
        version = listed
        for body in bodies:
            take_in(reconciler, None, kind, body)
            metadata = body["metadata"]
            key = _key_of(kind, metadata)
            if key is None:
                continue
            thing = (kind, metadata["name"])
            if known.get((key, thing)) == metadata["uid"]:
                del known[key, thing]
            if kind in CHILD_KINDS:
                # Judged at once, so that not all bodies are in memory at the same time.
                reconciler.compare(key)
    for (key, thing), uid in known.items():
        _forget(reconciler, key, thing, uid)
    return version


def take_in(reconciler: Reconciler, change: str | None, kind: str, body: dict[str, Any]) -> None:
    """Note an object; `change` is DELETED, or anything else for being there."""
    if kind == "InferenceService":
        reconciler.service_seen(change, body)
    elif kind == "Pod":
        reconciler.pod_seen(change, body)
    else:
        reconciler.child_seen(change, kind, body)


async def resync_forever(reconciler: Reconciler) -> None:
    """Look again soon after the start, then every `resync_seconds`.

    Soon, because an InferenceService that went between the first look and kopf's own is announced
    by nobody. The times are spread, so that replicas do not coincide.
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
        for namespace in reconciler.config.namespaces or ("",):
            async for metadata in reconciler.cluster.list_metadata(kind, namespace):
                key = _key_of(kind, metadata)
                if key is not None:
                    version = (metadata["uid"], version_of(metadata))
                    found.setdefault(key, {})[kind, metadata["name"]] = version
    return found


def _key_of(kind: str, metadata: Mapping[str, Any]) -> Key | None:
    if kind == "InferenceService":
        return (metadata["namespace"], metadata["name"])
    return service_of(metadata)


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
        take_in(reconciler, None, kind, body)
