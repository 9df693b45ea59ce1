"""The one flow: read, compute what should be, make it so, observe, say so.

Creation, change, restart, an event of a child and the slow resync all end in `Reconciler.run_once`
of one key. It looks only at how things are, never at what happened, so a lost or repeated event
changes nothing. What is wanted is decided in `manifests`, what is said in `status`, what is asked
of the API server in `cluster`; this module only puts them in order.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from inference_operator import names
from inference_operator.children import Children
from inference_operator.cluster import Cluster
from inference_operator.config import Config
from inference_operator.errors import ApiError, ApiUnavailableError, StatusError, StuckError
from inference_operator.events import announce, announce_repair
from inference_operator.manifests import Desired, Running, desired
from inference_operator.observed import service_of
from inference_operator.spec import parse
from inference_operator.status import merge_patch, summarize
from inference_operator.store import Key, Store
from inference_operator.verdict import Situation
from inference_operator.wanted import InferenceService
from inference_operator.workqueue import Priority, WorkQueue

Json = Mapping[str, Any]
logger = logging.getLogger(__name__)
FAILURES_UNTIL_TOLD = 3


class Reconciler:
    """Keeps every InferenceService of the store as it should be.

    `active` is clear while another replica leads: events are still taken in, so that a failover
    starts with a full store, but nothing is written.
    """

    def __init__(self, cluster: Cluster, config: Config, store: Store | None = None) -> None:
        self.cluster = cluster
        self.config = config
        self.store = store or Store()
        self.queue: WorkQueue[Key] = WorkQueue()
        self.children = Children(cluster, self.store)
        self.active = asyncio.Event()
        self.reconciled = 0
        self.failed = 0

    def service_seen(self, change: str | None, body: Json) -> None:
        """Note an InferenceService; `change` is DELETED, or anything else for being there."""
        key = (body["metadata"]["namespace"], body["metadata"]["name"])
        if change == "DELETED":
            self.store.drop_service(key, body["metadata"]["uid"])
            self.queue.forget(key)
            return
        entry = self.store.entry(key)
        known = (entry.uid, entry.generation) if entry else ("", 0)
        if self.store.put_service(key, body):
            new = (body["metadata"]["uid"], body["metadata"].get("generation", 0))
            self.queue.add(key, Priority.STATUS if new == known else Priority.SPEC)

    def child_seen(self, change: str | None, kind: str, body: Json) -> None:
        """Note a child."""
        key = service_of(body["metadata"])
        if key is None:
            return
        if change == "DELETED":
            news = self.store.drop_child(key, kind, body["metadata"]["uid"])
        else:
            news = self.store.put_child(key, kind, body)
        if news:
            self.queue.add(key, Priority.STATUS, self.config.status_delay_seconds)

    def pod_seen(self, change: str | None, body: Json) -> None:
        """Note a pod."""
        key = service_of(body["metadata"])
        if key is None:
            return
        if change == "DELETED":
            news = self.store.drop_pod(key, body["metadata"]["name"])
        else:
            news = self.store.put_pod(key, body)
        if news:
            self.queue.add(key, Priority.STATUS, self.config.status_delay_seconds)

    def lead(self, leads: bool = True) -> None:
        """Start or stop writing."""
        if not leads:
            self.active.clear()
            return
        self.active.set()
        for key in self.store.services():
            self.queue.add(key, Priority.RESYNC)

    async def work(self) -> None:
        """Reconcile what the queue brings, for ever."""
        while True:
            key = await self.queue.take()
            try:
                if self.active.is_set():
                    await self.run_once(key)
                else:
                    self.compare(key)
                    self.queue.done(key)
            except ApiError as error:
                self._put_off(key, error)
            except Exception:
                # A bug in one resource's way must not stop the others.
                logger.exception("%s/%s: reconciling failed unexpectedly", *key)
                self.failed += 1
                self.queue.failed(key)

    def compare(self, key: Key) -> None:
        """Only compare what is with what should be: bodies that were judged can be dropped."""
        body = self.store.body(key)
        if body is None:
            return
        with contextlib.suppress(StatusError):
            service = parse(body)
            self.children.stale(key, service, desired(service, self.config, _running(body)))

    def _put_off(self, key: Key, error: ApiError) -> None:
        if "being terminated" in error.message or "namespaces " in error.message:
            # The namespace goes away, and the resource with it; its end comes as an event.
            self.queue.done(key)
            return
        self.failed += 1
        wait = error.retry_after_s if isinstance(error, ApiUnavailableError) else None
        pause = self.queue.failed(key, wait)
        logger.warning("%s/%s: %s; trying again in %.1f s", *key, error, pause)

    async def run_once(self, key: Key) -> None:
        """One pass over one InferenceService; releases its key in the queue.

        Raises:
            ApiError: the API server did not do what it was asked; the key is still taken.
        """
        body = self.store.body(key)
        if body is None or "deletionTimestamp" in body["metadata"]:
            self.queue.done(key)
            return
        self.reconciled += 1
        service: InferenceService | None = None
        wanted: Desired | None = None
        error: StatusError | None = None
        again = 0.0
        try:
            service = parse(body)
            wanted = desired(service, self.config, _running(body))
            outcome = await self.children.sync(key, service, wanted)
            for repair in outcome.repairs:
                await announce_repair(self.cluster, body, repair.kind, repair.by)
            if outcome.written:
                # What was just written comes back as events; the status is written after them.
                self.queue.done(key)
                self.queue.add(key, Priority.STATUS, self.config.status_delay_seconds)
                return
            again = outcome.wait
        except StatusError as refused:
            error, wanted = refused, None
        except ApiError as failed:
            if not self._is_stuck(key, failed):
                raise
            error, wanted = StuckError(str(failed)), None
        await self._report(key, body, service, wanted, error)
        if error is not None and error.may_pass:
            self.failed += 1
            self.queue.failed(key)
        else:
            self.queue.done(key)
            if again:
                self.queue.add(key, Priority.STATUS, again)

    def _is_stuck(self, key: Key, error: ApiError) -> bool:
        """Whether an error of the API server has lasted long enough to be worth telling."""
        answered = error.status >= 400 and error.status not in {409, 429}
        return answered and self.queue.failures(key) >= FAILURES_UNTIL_TOLD

    async def _report(
        self,
        key: Key,
        body: dict[str, Any],
        service: InferenceService | None,
        wanted: Desired | None,
        error: StatusError | None,
    ) -> None:
        """Write the status if it changed, and an Event if it changed in a way worth telling."""
        situation = Situation(
            body=body,
            observed=self.store.observed(key),
            now=datetime.fromtimestamp(time.time(), UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            cluster_domain=self.config.cluster_domain,
            service=service,
            desired=wanted,
            error=error,
        )
        before = body.get("status") or {}
        after = summarize(situation)
        patch = merge_patch(before, after)
        if not patch:
            return
        namespace, name = key
        answer = await self.cluster.patch_status(namespace, name, body["metadata"]["uid"], patch)
        if answer is None:
            return
        self.store.put_service(key, answer)
        await announce(self.cluster, body, before, after)


def _running(body: Json) -> Running:
    """The latest revision and its image, as the status remembers them."""
    components = (body.get("status") or {}).get("components") or {}
    predictor = components.get(names.PREDICTOR) or {}
    return Running(predictor.get("latestCreatedRevision", ""), predictor.get("image", ""))
