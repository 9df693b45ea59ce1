"""Leadership by a Lease: of several replicas exactly one writes.

The Lease is renewed every third of its duration. Who cannot renew it stops working before it runs
out, by the local monotonic clock; who sees it unrenewed for its duration takes it over, by the
local clock again, so clocks of different machines are never compared. Does not know what leading
means: two callbacks do.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from inference_operator import names
from inference_operator.errors import ApiError
from inference_operator.kubernetes.client import ApiClient
from inference_operator.objects import Json

logger = logging.getLogger(__name__)


class Election:
    """One candidate for one Lease.

    Args:
        client: where the Lease lives.
        namespace: of the Lease.
        identity: name of this candidate, different from every other's.
        duration_s: seconds after which a Lease that is not renewed may be taken.
        changed: called with True on becoming the leader and False on ceasing to be.
    """

    def __init__(
        self,
        client: ApiClient,
        namespace: str,
        identity: str,
        duration_s: float,
        changed: Callable[[bool], None],
    ) -> None:
        self._client = client
        self._namespace = namespace
        self._identity = identity
        self._duration = duration_s
        self._changed = changed
        self._seen: tuple[str, str] = ("", "")
        self._seen_at = 0.0
        self._renewed_at = 0.0
        self.leads = False

    async def run(self) -> None:
        """Take part for ever."""
        while True:
            started = time.monotonic()
            try:
                # An answer that comes after the deadline could not be told from a lost Lease.
                async with asyncio.timeout(max(min(self._pause, self._time_left()), 0.1)):
                    held = await self._try()
            except (ApiError, TimeoutError) as error:
                logger.warning("the Lease %s cannot be renewed: %r", names.LEASE, error)
                held, pause = self.leads, min(1.0, self._pause)
            else:
                self._renewed_at = started if held else self._renewed_at
                pause = self._pause
            self._set(held and (self._time_left() > 0 or not self.leads))
            await asyncio.sleep(max(min(pause, self._time_left()), 0.1))

    @property
    def _pause(self) -> float:
        """Seconds between two renewals."""
        return self._duration / 3

    def _time_left(self) -> float:
        """Seconds that a leader may work on: it stops well before another may start."""
        if not self.leads:
            return self._duration
        return self._renewed_at + 2 * self._pause - time.monotonic()

    def _set(self, leads: bool) -> None:
        if leads != self.leads:
            self.leads = leads
            logger.info("%s %s", self._identity, "leads" if leads else "does not lead any more")
            self._changed(leads)

    async def _try(self) -> bool:
        """One attempt to take or renew the Lease; says whether it is ours."""
        lease = await self._client.get("Lease", self._namespace, names.LEASE)
        try:
            if lease is None:
                await self._client.create("Lease", self._namespace, self._lease({}, {}))
                return True
            spec = lease.get("spec") or {}
            if spec.get("holderIdentity") != self._identity and not self._run_out(spec):
                return False
            await self._client.replace(
                "Lease", self._namespace, self._lease(lease["metadata"], spec)
            )
        except ApiError as error:
            if error.status == 409:
                return False
            raise
        return True

    def _run_out(self, spec: Json) -> bool:
        """Whether nobody has renewed the Lease for its whole duration, as far as we saw."""
        holder, renewed = spec.get("holderIdentity") or "", spec.get("renewTime") or ""
        if not holder:
            return True
        if (holder, renewed) != self._seen:
            self._seen, self._seen_at = (holder, renewed), time.monotonic()
        duration = spec.get("leaseDurationSeconds") or self._duration
        return time.monotonic() - self._seen_at > duration

    def _lease(self, metadata: Json, spec: Json) -> dict[str, Any]:
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        mine = spec.get("holderIdentity") == self._identity
        transitions = int(spec.get("leaseTransitions") or 0)
        return {
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": {
                "name": names.LEASE,
                "namespace": self._namespace,
                **{k: metadata[k] for k in ("resourceVersion", "uid") if k in metadata},
            },
            "spec": {
                "holderIdentity": self._identity,
                "leaseDurationSeconds": max(int(self._duration), 1),
                "acquireTime": spec["acquireTime"] if mine and "acquireTime" in spec else now,
                "renewTime": now,
                "leaseTransitions": transitions + (0 if mine or not spec else 1),
            },
        }

    async def release(self) -> None:
        """Let another replica take over at once instead of waiting for the Lease to run out."""
        if not self.leads:
            return
        self._set(leads=False)
        lease = await self._client.get("Lease", self._namespace, names.LEASE)
        if lease and (lease.get("spec") or {}).get("holderIdentity") == self._identity:
            lease["spec"]["holderIdentity"] = ""
            await self._client.replace("Lease", self._namespace, lease)
