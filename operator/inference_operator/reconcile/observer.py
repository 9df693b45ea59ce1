"""The one way in for everything that is observed: into the store, and its key into the queue.

Watches, listings and kopf all call `Observer.observe`. Decides nothing about what follows.
"""

from __future__ import annotations

import logging

from inference_operator import names
from inference_operator.cache.observed import owning_service
from inference_operator.cache.store import Store
from inference_operator.objects import Json, Key, ObjectRef
from inference_operator.reconcile.queue import Priority, WorkQueue

logger = logging.getLogger(__name__)
DELETED = "DELETED"


class Observer:
    """Stores what is observed and queues the InferenceServices that it concerns.

    Args:
        store: Where observations go.
        queue: Where the keys of changed InferenceServices go.
        delay_s: Seconds for which changes of children and pods are gathered.
    """

    def __init__(self, store: Store, queue: WorkQueue[Key], delay_s: float) -> None:
        self.store = store
        self.queue = queue
        self._delay = delay_s

    def observe(self, kind: str, change: str | None, body: Json) -> None:
        """Store one object of any kind; `change` is DELETED, or anything else if it exists."""
        if kind == names.KIND:
            self._observe_service(change, body)
            return
        key = owning_service(body["metadata"])
        if key is not None and self._store(key, kind, change, body):
            self.queue.add(key, Priority.STATUS, self._delay)

    def _observe_service(self, change: str | None, body: Json) -> None:
        metadata = body["metadata"]
        key = (metadata["namespace"], metadata["name"])
        if change == DELETED:
            self.store.drop_service(key, metadata["uid"])
            self.queue.forget(key)
            return
        entry = self.store.entry(key)
        known = (entry.uid, entry.generation) if entry else ("", 0)
        if self.store.put_service(key, body):
            new = (metadata["uid"], metadata.get("generation", 0))
            self.queue.add(key, Priority.STATUS if new == known else Priority.SPEC)

    def _store(self, key: Key, kind: str, change: str | None, body: Json) -> bool:
        """Store a child or a pod; returns whether anything that matters changed."""
        if kind == "Pod":
            if change == DELETED:
                return self.store.drop_pod(key, body["metadata"]["name"])
            return self.store.put_pod(key, body)
        if kind == "EndpointSlice":
            metadata = body["metadata"]
            if change == DELETED:
                return self.store.drop_endpoints(key, metadata["name"], metadata["uid"])
            return self.store.put_endpoints(key, body)
        if change == DELETED:
            return self.store.drop_child(key, kind, body["metadata"]["uid"])
        return self.store.put_child(key, kind, body)

    def forget(self, key: Key, ref: ObjectRef, uid: str) -> None:
        """Drop an object that a listing no longer contains."""
        kind, name = ref
        logger.info("%s/%s: %s %s went away unnoticed", *key, kind, name)
        if kind == names.KIND:
            self.store.drop_service(key, uid)
        elif kind == "Pod":
            self.store.drop_pod(key, name)
        elif kind == "EndpointSlice":
            self.store.drop_endpoints(key, name, uid)
        else:
            self.store.drop_child(key, kind, uid)
