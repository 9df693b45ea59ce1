"""Listings: a full one at startup, and a periodic check for missed changes.

Every object is listed once before the first reconcile: otherwise a service whose pods have not been
listed yet would be reported as not ready. The watches continue from there. A watch that cannot
continue lists its kind again; objects missing from that list were deleted in between.

A change lost by a watch would go unnoticed. So the metadata of all objects is listed periodically:
objects that are gone are forgotten, newer ones are read. Writes nothing.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable, Sequence

from inference_operator import names
from inference_operator.cache.ownership import claimed_by
from inference_operator.errors import ApiError
from inference_operator.kinds import CHILD_KINDS, WATCHED_KINDS
from inference_operator.kubernetes.client import ApiClient
from inference_operator.objects import Json, Key, ObjectRef, resource_version
from inference_operator.reconcile.observer import Observer
from inference_operator.reconcile.queue import Priority

logger = logging.getLogger(__name__)
FIRST_RESYNC_SECONDS = 30.0
_KINDS = (names.KIND, *WATCHED_KINDS)


class Resync:
    """Compares the store with the API server.

    Args:
        client: Lists the objects.
        observer: Receives every listed object and every object that is gone.
        compare: Called for the key of every listed child, so that its body can be dropped.
        namespaces: Namespaces to list; all when empty.
        sleep: Waits for a number of seconds.

    Attributes:
        finished_at: When everything was last listed, on the monotonic clock.
    """

    def __init__(
        self,
        client: ApiClient,
        observer: Observer,
        compare: Callable[[Key], None],
        namespaces: Sequence[str] = (),
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._client = client
        self._observer = observer
        self._compare = compare
        self.finished_at = time.monotonic()
        self._namespaces = tuple(namespaces) or ("",)
        self._sleep = sleep

    async def prime(self) -> dict[tuple[str, str], str]:
        """Fill an empty store.

        Returns:
            The resource version from which to watch, by kind and namespace.
        """
        return {
            (kind, namespace): await self.relist(kind, namespace)
            for kind in _KINDS
            for namespace in self._namespaces
        }

    async def relist(self, kind: str, namespace: str) -> str:
        """Observe every object of a kind and forget those that no longer exist.

        Returns:
            The resource version from which to watch.
        """
        store = self._observer.store
        known = self._known(kind, namespace)
        version = ""
        async for listed_version, bodies in self._client.list_all(kind, namespace):
            version = listed_version
            for body in bodies:
                self._observer.observe(kind, None, body)
                metadata = body["metadata"]
                key = _key_of(kind, metadata)
                if key is None:
                    continue
                ref = (kind, metadata["name"])
                if known.get((key, ref)) == metadata["uid"]:
                    del known[key, ref]
                if kind in CHILD_KINDS and store.child(key, ref) is not None:
                    # Compare immediately, so that not all bodies are in memory at the same time.
                    self._compare(key)
        for (key, ref), uid in known.items():
            self._observer.forget(key, ref, uid)
        return version

    def _known(self, kind: str, namespace: str) -> dict[tuple[Key, ObjectRef], str]:
        """UIDs of the known objects of a kind.

        Taken before listing, so that an object created in the meantime does not count as deleted.
        """
        store = self._observer.store
        return {
            (key, ref): uid
            for key in store.all_keys()
            if namespace in {"", key[0]}
            for ref, (uid, _) in store.versions(key).items()
            if ref[0] == kind
        }

    async def run(self, period_s: float) -> None:
        """Resync soon after startup, then every `period_s` seconds, forever.

        The first resync comes early because no event reports an InferenceService that was deleted
        between the first listing and kopf's own. The times are jittered, so that replicas do not
        resync simultaneously.
        """
        pause = min(FIRST_RESYNC_SECONDS, period_s)
        while True:
            await self._sleep(pause * random.uniform(0.8, 1.2))  # noqa: S311
            pause = period_s
            try:
                await self.resync()
            except ApiError as error:
                logger.warning("the resync failed and will be repeated: %s", error)

    async def resync(self) -> None:
        """Forget what is gone, read what is newer, and queue every InferenceService once."""
        for kind in _KINDS:
            for namespace in self._namespaces:
                await self._resync_kind(kind, namespace)
        for key in self._observer.store.services():
            self._observer.queue.add(key, Priority.RESYNC)
        self.finished_at = time.monotonic()

    async def _resync_kind(self, kind: str, namespace: str) -> None:
        store = self._observer.store
        known = self._known(kind, namespace)
        newer: list[tuple[Key, ObjectRef]] = []
        async for metadata in self._client.list_metadata(kind, namespace):
            key = _key_of(kind, metadata)
            if key is None:
                continue
            ref = (kind, metadata["name"])
            if known.get((key, ref)) == metadata["uid"]:
                del known[key, ref]
            listed = (metadata["uid"], resource_version(metadata))
            current = store.versions(key).get(ref, ("", 0))
            is_newer = current != listed and current[1] < listed[1]
            if is_newer and store.keeps(key, kind, metadata):
                newer.append((key, ref))
        for (key, ref), uid in known.items():
            # Verify each absence: the list may be stale, and no watch continues from it.
            if not await self._exists(key, ref, uid):
                self._observer.forget(key, ref, uid)
        for key, ref in newer:
            await self._read(key, ref)

    async def _exists(self, key: Key, ref: ObjectRef, uid: str) -> bool:
        kind, name = ref
        body = await self._client.get(kind, key[0], name)
        return body is not None and body["metadata"]["uid"] == uid

    async def _read(self, key: Key, ref: ObjectRef) -> None:
        kind, name = ref
        body = await self._client.get(kind, key[0], name)
        if body is not None:
            self._observer.observe(kind, None, body)


def _key_of(kind: str, metadata: Json) -> Key | None:
    if kind == names.KIND:
        return (metadata["namespace"], metadata["name"])
    return claimed_by(metadata)
