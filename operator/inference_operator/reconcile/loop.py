"""The control loop: takes keys from the queue, reconciles them, and schedules their next pass.

Only this module requeues a key after a pass.
"""

from __future__ import annotations

import asyncio
import logging

from inference_operator.cache.store import Store
from inference_operator.errors import ApiError, ApiFailure
from inference_operator.objects import Key
from inference_operator.reconcile.queue import Priority, WorkQueue
from inference_operator.reconcile.reconciler import Reconciler, Result

logger = logging.getLogger(__name__)


class Loop:
    """Reconciles keys from the queue.

    `active` is clear while another replica leads: events are still observed, so that a failover
    starts with a full store, but nothing is written.

    Args:
        reconciler: Runs one pass.
        queue: Keys to reconcile.
        store: Observed objects.
    """

    def __init__(self, reconciler: Reconciler, queue: WorkQueue[Key], store: Store) -> None:
        self._reconciler = reconciler
        self.queue = queue
        self.store = store
        self.active = asyncio.Event()
        self.reconciled = 0
        self.failed = 0

    @property
    def contests(self) -> int:
        """Number of times that another writer was found to keep replacing a status."""
        return self._reconciler.contests

    def lead(self, leads: bool = True) -> None:
        """Start or stop writing."""
        if not leads:
            self.active.clear()
            return
        self.active.set()
        for key in self.store.services():
            self.queue.add(key, Priority.RESYNC)

    async def run(self) -> None:
        """Reconcile forever."""
        while True:
            await self.step()

    async def step(self) -> None:
        """Wait for one key and reconcile it."""
        key = await self.queue.take()
        try:
            result = await self._pass(key)
        except ApiError as error:
            self._retry(key, error)
            return
        except Exception:
            # A bug triggered by one resource must not stop the others.
            logger.exception("%s/%s: reconciling failed unexpectedly", *key)
            self._fail(key)
            return
        if result.failed:
            self._fail(key, result.requeue_after_s)
            return
        self.queue.done(key)
        if result.requeue_after_s is not None:
            self.queue.add(key, Priority.STATUS, result.requeue_after_s)

    async def _pass(self, key: Key) -> Result:
        if not self.active.is_set():
            await self._reconciler.read_missed(key)
            self._reconciler.compare(key)
            return Result()
        self.reconciled += 1
        return await self._reconciler.reconcile(key, self.queue.failures(key))

    def _fail(self, key: Key, retry_after_s: float | None = None) -> float:
        self.failed += 1
        return self.queue.failed(key, retry_after_s)

    def _retry(self, key: Key, error: ApiError) -> None:
        if error.failure is ApiFailure.NAMESPACE_GONE:
            # The resource is deleted along with it, as the watch will report.
            self.queue.done(key)
            return
        if error.failure is ApiFailure.NOT_LEADING:
            # The leader handles it; if this replica leads again, every key is queued again.
            self.queue.done(key)
            return
        pause = self._fail(key, error.retry_after_s)
        logger.warning("%s/%s: %s; retrying in %.1f s", *key, error, pause)
