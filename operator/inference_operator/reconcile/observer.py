"""The single entry point for observations: stores the object and queues its key.

Watches, listings and kopf all call `Observer.observe`. Makes no decisions.
"""

from __future__ import annotations

import logging

from inference_operator import names
from inference_operator.cache.ownership import claimed_by
from inference_operator.cache.store import Store
from inference_operator.objects import Json, Key, ObjectRef
from inference_operator.reconcile.queue import Priority, WorkQueue

logger = logging.getLogger(__name__)
DELETED = "DELETED"


class Observer:
    """Stores observed objects and queues the InferenceServices they belong to.

    Args:
        store: Receives the objects.
        queue: Receives the keys of changed InferenceServices.
        delay_s: Seconds for which changes of children and pods are batched.
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
        metadata = body["metadata"]
        key = claimed_by(metadata)
        if key is None and kind == "Pod":
            # A pod whose label was removed no longer belongs to its service.
            key = self.store.find_pod(
                metadata["namespace"], metadata["name"], metadata.get("uid", "")
            )
            change = DELETED
        if key is None:
            return
        if change == DELETED:
            changed = self.store.lose(key, (kind, metadata["name"]), metadata["uid"])
        else:
            changed = self.store.put(key, kind, body)
        if changed:
            self.queue.add(key, Priority.STATUS, self._delay)

    def _observe_service(self, change: str | None, body: Json) -> None:
        metadata = body["metadata"]
        key = (metadata["namespace"], metadata["name"])
        if change == DELETED:
            self._drop_service(key, metadata["uid"])
            return
        entry = self.store.entry(key)
        before = (entry.uid, entry.generation, entry.metadata_hash) if entry else None
        if self.store.put_service(key, body):
            entry = self.store.entry(key)
            after = (entry.uid, entry.generation, entry.metadata_hash) if entry else None
            self.queue.add(key, Priority.STATUS if after == before else Priority.SPEC)

    def forget(self, key: Key, ref: ObjectRef, uid: str) -> None:
        """Drop an object that a listing no longer contains."""
        kind, name = ref
        logger.info("%s/%s: %s %s was deleted without an event", *key, kind, name)
        if kind == names.KIND:
            self._drop_service(key, uid)
        elif self.store.lose(key, ref, uid):
            self.queue.add(key, Priority.STATUS, self._delay)

    def _drop_service(self, key: Key, uid: str) -> None:
        self.store.drop_service(key, uid)
        # Another object of the same name may already have replaced it.
        if self.store.body(key) is None:
            self.queue.forget(key)
