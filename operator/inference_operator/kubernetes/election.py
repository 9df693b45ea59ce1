"""Leader election with a Lease: exactly one of several replicas writes.

The leader renews the Lease every third of its duration. If it cannot, it stops working before the
Lease expires by the local monotonic clock. A candidate takes over a Lease that has not been renewed
for its whole duration, again by its own clock, so clocks of different machines are never compared.
A callback defines what leading means.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NoReturn

from inference_operator import names
from inference_operator.errors import ApiError, ApiFailure
from inference_operator.kinds import KINDS
from inference_operator.kubernetes.client import ApiClient
from inference_operator.objects import Json, Manifest

logger = logging.getLogger(__name__)
_SHORTEST_PAUSE_SECONDS = 0.1
_RETRY_SECONDS = 1.0
# Polling interval of non-leaders; they take over at most twice this after the Lease's duration.
_LOOK_SECONDS = 1.0


@dataclass(frozen=True)
class Candidate:
    """One replica that wants to lead.

    Attributes:
        identity: Its name, unique among the replicas.
        namespace: Namespace of the Lease.
        duration_s: Seconds after which an unrenewed Lease may be taken over.
    """

    identity: str
    namespace: str
    duration_s: float


class Election:
    """Takes part in the election.

    Args:
        client: The API server.
        candidate: The replica that takes part.
        changed: Called with True when it becomes the leader and with False when it stops leading.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        client: ApiClient,
        candidate: Candidate,
        changed: Callable[[bool], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client = client
        self._candidate = candidate
        self._changed = changed
        self._clock = clock
        self._seen: tuple[str, str] = ("", "")
        self._seen_at = 0.0
        self._renewed_at = 0.0
        self.leads = False

    async def run(self) -> NoReturn:
        """Take part forever."""
        while True:
            await asyncio.sleep(await self.step())

    async def step(self) -> float:
        """Try once to take or renew the Lease; returns the seconds until the next try."""
        started = self._clock()
        try:
            # A response after the deadline would be indistinguishable from a lost Lease.
            limit = max(min(self._period, self._time_left()), _SHORTEST_PAUSE_SECONDS)
            async with asyncio.timeout(limit):
                held = await self._try()
        except (ApiError, TimeoutError) as error:
            logger.warning("the Lease %s cannot be renewed: %r", names.LEASE, error)
            held, pause = self.leads, min(_RETRY_SECONDS, self._period)
        else:
            self._renewed_at = started if held else self._renewed_at
            pause = self._period if held else min(_LOOK_SECONDS, self._period)
        self._set(held and (self._time_left() > 0 or not self.leads))
        return max(min(pause, self._time_left()), _SHORTEST_PAUSE_SECONDS)

    def may_write(self) -> bool:
        """Whether no other replica can be the leader at this moment.

        Depends only on the clock, so it is correct right after a freeze of the whole process, even
        before any of its tasks has run.
        """
        return self.leads and self._time_left() > 0

    async def release(self) -> None:
        """Let another replica take over immediately instead of waiting for the Lease to expire."""
        if not self.leads:
            return
        self._set(leads=False)
        namespace = self._candidate.namespace
        lease = await self._client.get("Lease", namespace, names.LEASE)
        if lease and (lease.get("spec") or {}).get("holderIdentity") == self._candidate.identity:
            lease["spec"]["holderIdentity"] = ""
            await self._client.replace("Lease", namespace, lease)

    @property
    def _period(self) -> float:
        """Seconds between two renewals."""
        return self._candidate.duration_s / 3

    def _time_left(self) -> float:
        """Seconds for which the leader may continue; it stops well before another may start."""
        if not self.leads:
            return self._candidate.duration_s
        return self._renewed_at + 2 * self._period - self._clock()

    def _set(self, leads: bool) -> None:
        if leads != self.leads:
            self.leads = leads
            what = "is the leader" if leads else "is no longer the leader"
            logger.info("%s %s", self._candidate.identity, what)
            self._changed(leads)

    async def _try(self) -> bool:
        """Try once to get the Lease; returns whether it is ours."""
        namespace = self._candidate.namespace
        lease = await self._client.get("Lease", namespace, names.LEASE)
        try:
            if lease is None:
                await self._client.create("Lease", namespace, self._lease({}, {}))
                return True
            spec = lease.get("spec") or {}
            if spec.get("holderIdentity") != self._candidate.identity and not self._expired(spec):
                return False
            await self._client.replace("Lease", namespace, self._lease(lease["metadata"], spec))
        except ApiError as error:
            if error.failure is ApiFailure.CONFLICT:
                return False
            raise
        return True

    def _expired(self, spec: Json) -> bool:
        """Whether we have seen no renewal of the Lease for its whole duration."""
        holder, renewed = spec.get("holderIdentity") or "", spec.get("renewTime") or ""
        if not holder:
            return True
        if (holder, renewed) != self._seen:
            self._seen, self._seen_at = (holder, renewed), self._clock()
        duration = spec.get("leaseDurationSeconds") or self._candidate.duration_s
        return self._clock() - self._seen_at > duration

    def _lease(self, metadata: Json, spec: Json) -> Manifest:
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        ours = spec.get("holderIdentity") == self._candidate.identity
        transitions = int(spec.get("leaseTransitions") or 0)
        return {
            "apiVersion": KINDS["Lease"].api_version,
            "kind": "Lease",
            "metadata": {
                "name": names.LEASE,
                "namespace": self._candidate.namespace,
                **{key: metadata[key] for key in ("resourceVersion", "uid") if key in metadata},
            },
            "spec": {
                "holderIdentity": self._candidate.identity,
                "leaseDurationSeconds": max(int(self._candidate.duration_s), 1),
                "acquireTime": spec["acquireTime"] if ours and "acquireTime" in spec else now,
                "renewTime": now,
                "leaseTransitions": transitions + (0 if ours or not spec else 1),
            },
        }
