"""How recent the operator's view of the cluster is: watches, resync, queue.

From outside, an operator with dead connections looks idle. The time since it last heard from the
API server tells the two apart; `health` reports it in readiness and metrics. No IO.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from inference_operator.kubernetes.watch import Watch
from inference_operator.reconcile.resync import Resync

# The API server sends a bookmark about once a minute, and a silent stream is renewed after 90 s.
SILENT_WATCH_SECONDS = 180.0
LATE_RESYNCS = 3
RESYNC_MARGIN_SECONDS = 60.0
OLD_QUEUE_SECONDS = 600.0


@dataclass(frozen=True)
class Sight:
    """The parts that observe the cluster.

    Attributes:
        watches: The watches of children and pods. kopf's watch of InferenceServices does not
            report when it last heard from the API server; the resync compensates for that.
        resync: The periodic check for missed changes.
        resync_period_s: Seconds between two resyncs.
        queue_age_s: Seconds for which the longest-waiting key has been due.
        clock: Monotonic seconds.
    """

    watches: Sequence[Watch]
    resync: Resync
    resync_period_s: float
    queue_age_s: Callable[[], float]
    clock: Callable[[], float] = time.monotonic

    def watch_ages_s(self) -> dict[str, float]:
        """Seconds since the most silent watch of each kind last received something."""
        now, ages = self.clock(), dict[str, float]()
        for watch in self.watches:
            ages[watch.kind] = max(ages.get(watch.kind, 0.0), now - watch.heard_at)
        return ages

    def restarts(self) -> dict[str, int]:
        """Number of restarts of the watches, by kind."""
        found: dict[str, int] = {}
        for watch in self.watches:
            found[watch.kind] = found.get(watch.kind, 0) + watch.restarts
        return found

    def resync_age_s(self) -> float:
        """Seconds since everything was last listed."""
        return self.clock() - self.resync.finished_at

    def problems(self) -> list[str]:
        """Describe what keeps the operator from seeing the cluster or keeping up with it."""
        found = [
            f"nothing was heard of the watch of {kind} for {age:.0f} s"
            for kind, age in sorted(self.watch_ages_s().items())
            if age > SILENT_WATCH_SECONDS
        ]
        age = self.resync_age_s()
        if age > LATE_RESYNCS * self.resync_period_s + RESYNC_MARGIN_SECONDS:
            found.append(f"the last complete listing was {age:.0f} s ago")
        age = self.queue_age_s()
        if age > OLD_QUEUE_SECONDS:
            found.append(f"an InferenceService has waited for {age:.0f} s to be reconciled")
        return found
