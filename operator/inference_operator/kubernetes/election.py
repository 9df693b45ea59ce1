"""Leader election by a Lease: of several replicas exactly one writes.

The leader renews the Lease every third of its duration. If it cannot, it stops working before the
Lease expires, by the local monotonic clock. A candidate that has seen the Lease unrenewed for its
whole duration takes it over, again by its own clock, so clocks of different machines are never
compared. What leading means is up to a callback.
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
# Who does not lead looks this often; it takes over at most twice this after the Lease's duration.
_LOOK_SECONDS = 1.0


@dataclass(frozen=True)
class Candidate:
    """One replica that wants to lead.

    Attributes:
        identity: Its name, different from that of every other replica.
        namespace: Namespace of the Lease.
        duration_s: Seconds after which a Lease that is not renewed may be taken.
    """

    identity: str
    namespace: str
    duration_s: float


class Election:
    """Takes part in the election.

    Args:
        client: The API server.
        candidate: Who takes part.
        changed: Called with True on becoming the leader and with False on ceasing to be.
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
        """Take part for ever."""
        while True:
            await asyncio.sleep(await self.step())

    async def step(self) -> float:
        """Try once to take or renew the Lease; returns the seconds until the next try."""
        started = self._clock()
        try:
            # An answer after the deadline could not be told from a lost Lease.
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
        """Whether nobody else can lead at this moment.

        By the clock alone: after a freeze of the whole process it is right before any task of it
        has run.
        """
        return self.leads and self._time_left() > 0

    async def release(self) -> None:
        """Let another replica take over at once instead of after the Lease has expired."""
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
        """Seconds that a leader may go on: it stops well before another one may start."""
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
        """One attempt; returns whether the Lease is ours."""
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
        """Whether nobody has renewed the Lease for its whole duration, as far as we saw."""
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
