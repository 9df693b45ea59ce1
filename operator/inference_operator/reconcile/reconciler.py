"""One pass over one InferenceService: read, compute what should exist, apply it, report.

Creation, change, restart, an event of a child and the resync all lead to `Reconciler.reconcile` for
one key. It is level-triggered: it looks only at the current state, so a lost or repeated event
makes no difference. `desired` decides what should exist, `status` what is reported, and
`kubernetes` talks to the API server; this module only calls them in order. It returns when the next
pass is due, and `loop` schedules it.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from inference_operator import names
from inference_operator.api.spec import parse
from inference_operator.api.types import InferenceService
from inference_operator.cache.store import Store
from inference_operator.config import Config
from inference_operator.desired.revision import RecordedRevision
from inference_operator.desired.state import Desired
from inference_operator.errors import (
    ApiError,
    ApiFailure,
    DeletionPendingError,
    StatusError,
    StuckError,
)
from inference_operator.kubernetes.client import ApiClient
from inference_operator.objects import Json, Key
from inference_operator.reconcile.children import Children
from inference_operator.reconcile.events import record_contest, record_repair, record_transition
from inference_operator.reconcile.progress import build_state
from inference_operator.status.assessment import StatusInputs
from inference_operator.status.patch import merge_patch
from inference_operator.status.summary import summarize

FAILURES_UNTIL_REPORTED = 3
# Set by a deletion with propagationPolicy Foreground or Orphan.
_KUBERNETES_FINALIZERS = {"foregroundDeletion", "orphan"}


@dataclass(frozen=True)
class Result:
    """When to reconcile next.

    Attributes:
        failed: Whether to retry with growing pauses.
        requeue_after_s: Reconcile again after this many seconds, or no earlier than that after a
            failure; None to wait for the next change.
    """

    failed: bool = False
    requeue_after_s: float | None = None


class Reconciler:
    """Brings the InferenceServices in the store to their desired state.

    Args:
        client: The API server.
        store: Observed objects.
        config: Settings of the operator.
        now: Seconds since the epoch.
        clock: Monotonic seconds.

    Attributes:
        contests: Number of times that another writer was found to keep replacing a status.
    """

    def __init__(
        self,
        client: ApiClient,
        store: Store,
        config: Config,
        now: Callable[[], float] = time.time,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client = client
        self._store = store
        self._config = config
        self._children = Children(client, store)
        self._now = now
        self._clock = clock
        self.contests = 0

    def compare(self, key: Key) -> None:
        """Compare children with their desired state without writing; frees compared bodies."""
        body = self._store.body(key)
        if body is None:
            return
        with contextlib.suppress(StatusError):
            service = parse(body)
            desired = self._build(key, body, service)
            self._children.out_of_sync(key, desired)

    async def reconcile(self, key: Key, failures: int = 0) -> Result:
        """Run one pass over one InferenceService.

        Args:
            key: Its namespace and name.
            failures: Number of consecutive failures so far.

        Raises:
            ApiError: A request to the API server failed.
        """
        body = self._store.body(key)
        if body is None:
            return Result()
        if "deletionTimestamp" in body["metadata"]:
            return await self._report_deletion(key, body)
        await self.read_missed(key)
        service: InferenceService | None = None
        desired: Desired | None = None
        error: StatusError | None = None
        wait: float | None = None
        try:
            service = parse(body)
            desired = self._build(key, body, service)
            outcome = await self._children.sync(key, service, desired)
            for repair in outcome.repairs:
                await record_repair(self._client, body, repair)
            if outcome.written:
                # The watches report what was written; compute the status after that.
                return Result(requeue_after_s=self._config.status_delay_seconds)
            waits = (outcome.wait_s, desired.plan.wait)
            wait = min((seconds for seconds in waits if seconds > 0), default=None)
        except StatusError as refused:
            error, desired = refused, None
        except ApiError as failed:
            if not _lasts(failed, failures):
                raise
            error, desired = StuckError(str(failed)), None
            wait = failed.retry_after_s
        contested = await self._report(key, self._inputs(key, body, service, desired, error))
        if error is not None and error.may_pass:
            return Result(failed=True, requeue_after_s=wait)
        return Result(requeue_after_s=_earliest(wait, contested))

    async def _report_deletion(self, key: Key, body: Json) -> Result:
        """Report a deletion that is blocked by a third-party finalizer.

        Nothing is repaired any more, so without this the status would stay outdated until the
        finalizer is removed. Kubernetes' own finalizers go within seconds and need no write.
        """
        waits_for = set(body["metadata"].get("finalizers") or ()) - _KUBERNETES_FINALIZERS
        if waits_for:
            error = DeletionPendingError(body["metadata"]["deletionTimestamp"], sorted(waits_for))
            await self._report(key, self._inputs(key, body, error=error))
        return Result()

    def _inputs(
        self,
        key: Key,
        body: Json,
        service: InferenceService | None = None,
        desired: Desired | None = None,
        error: StatusError | None = None,
    ) -> StatusInputs:
        return StatusInputs(
            body=body,
            observed=self._store.observed(key),
            now=datetime.fromtimestamp(self._now(), UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            cluster_domain=self._config.cluster_domain,
            service=service,
            desired=desired,
            error=error,
        )

    def _build(self, key: Key, body: Json, service: InferenceService) -> Desired:
        """Build what should exist at this point of the rollout.

        Raises:
            SpecError: The spec names an unknown revision.
        """
        recorded = _recorded_revision(body)
        observed, now = self._store.observed(key), int(self._now())
        return build_state(service, self._config, recorded, observed, now)

    async def read_missed(self, key: Key) -> None:
        """Read objects that were announced before this InferenceService.

        Raises:
            ApiError: An object could not be read; all of them will be retried.
        """
        refs = self._store.missed.take(key)
        try:
            for kind, name in refs:
                body = await self._client.get(kind, key[0], name)
                if body is not None:
                    self._store.put(key, kind, body)
        except ApiError:
            for ref in refs:
                self._store.missed.add(key, ref)
            raise

    async def _report(self, key: Key, inputs: StatusInputs) -> float | None:
        """Write the status if it changed, and an Event if the change deserves one.

        Returns:
            Seconds after which to retry if another writer keeps replacing the status, else None.
        """
        after = summarize(inputs)
        patch = merge_patch(inputs.previous, after)
        if not patch:
            return None
        written, now = self._store.written(key), self._clock()
        if written.see(inputs.previous, now):
            self.contests += 1
            await record_contest(self._client, inputs.body, written.replaced)
        pause = written.pause_s(now)
        if pause > 0:
            return pause
        namespace, name = key
        uid = inputs.body["metadata"]["uid"]
        answer = await self._client.patch_status(namespace, name, uid, patch)
        if answer is None:
            return None
        written.wrote(answer.get("status") or {}, now)
        self._store.put_service(key, answer)
        await record_transition(self._client, inputs.body, inputs.previous, after)
        return None


def _earliest(*seconds: float | None) -> float | None:
    return min((one for one in seconds if one is not None), default=None)


def _lasts(error: ApiError, failures: int) -> bool:
    """Whether an error of the API server has lasted long enough to be reported."""
    # Without a usable response there is nothing to report about the resource.
    answered = error.status not in {0, 200}
    patience = FAILURES_UNTIL_REPORTED
    if error.status == 429 or error.failure is ApiFailure.CONFLICT:
        # Rate limits and deletions usually pass within seconds.
        patience *= 2
    return answered and failures >= patience


def _recorded_revision(body: Json) -> RecordedRevision:
    """Read the latest revision and its image from the status."""
    components: dict[str, Any] = (body.get("status") or {}).get("components") or {}
    predictor = components.get(names.PREDICTOR) or {}
    return RecordedRevision(predictor.get("latestCreatedRevision", ""), predictor.get("image", ""))
