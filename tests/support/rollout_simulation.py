"""Deployments and their pods, simulated: what the API server's controllers and kubelet would do.

Replaces pods as a Deployment with maxSurge 1 and maxUnavailable 0 does. A revision's nature is the
first letter of its digest: g(ood), c(rashes), n(ever ready), w(rong golden answer).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from inference_operator.rollout.plan import plan
from inference_operator.rollout.records import Revision, pack
from inference_operator.rollout.settings import RolloutSettings
from inference_operator.rollout.types import Candidate, Failure, Plan, Scale, Seen, Side

FAILURES = {
    "c": Failure("CrashLoopBackOff", "exit code 1", decisive=True),
    "w": Failure("GoldenImageFailed", "expected cat, the model says dog", decisive=True),
    "n": None,
}


def is_good(revision: str) -> bool:
    return revision.startswith("g")


@dataclass
class Pod:
    """`age` is in ticks; a good one is ready from the second on."""

    revision: str
    age: int = 0

    @property
    def ready(self) -> bool:
        return is_good(self.revision) and self.age >= 1


@dataclass
class Deployment:
    """As much of one as a rollout depends on."""

    revision: str
    desired: int
    progressed_at: int
    pods: list[Pod] = field(default_factory=list)

    def apply(self, revision: str, desired: int) -> None:
        # The controller notes the time of a new template only a moment later.
        self.revision, self.desired = revision, desired

    def tick(self, now: int, *, paused: bool) -> None:
        before = sum(pod.ready for pod in self.current)
        for pod in self.pods:
            pod.age += 1
        if sum(pod.ready for pod in self.current) > before:
            self.progressed_at = now
        self._scale_down()
        current = len(self.current)
        if not paused and current < self.desired and len(self.pods) < self.desired + 1:
            self.pods.append(Pod(self.revision))

    def _scale_down(self) -> None:
        while len(self.pods) > self.desired or len(self.current) < len(self.pods):
            old = [pod for pod in self.pods if pod.revision != self.revision]
            spare = old or self.current
            broken = [pod for pod in spare if not pod.ready]
            ready = sum(pod.ready for pod in self.pods)
            if broken and (old or len(self.pods) > self.desired):
                self.pods.remove(broken[0])
            elif ready > self.desired and (old or len(self.pods) > self.desired):
                self.pods.remove(spare[0])
            else:
                return

    @property
    def current(self) -> list[Pod]:
        return [pod for pod in self.pods if pod.revision == self.revision]

    def side(self) -> Side:
        ready = sum(pod.ready for pod in self.current)
        return Side(
            self.revision,
            self.desired,
            ready,
            complete=len(self.current) == len(self.pods) and ready >= self.desired,
            progressed_at=self.progressed_at,
        )


class World:
    """A cluster with one service, and the operator, which keeps nothing in memory."""

    def __init__(self) -> None:
        self.now = 1_000_000
        self.revisions: tuple[Revision, ...] = ()
        self.stable: Deployment | None = None
        self.canary: Deployment | None = None
        self.shared = False
        self.spec = "g0"
        self.settings = RolloutSettings()
        self.scale = Scale()
        self.attempt = "1"
        self.last: Plan | None = None

    def seen(self) -> Seen:
        mine = [pod for pod in self.pods() if pod.revision == self.spec and pod.age >= 2]
        failures = [FAILURES.get(pod.revision[0]) for pod in mine if not pod.ready]
        return Seen(
            self.stable.side() if self.stable else None,
            self.canary.side() if self.canary else None,
            next((failure for failure in failures if failure), None),
        )

    def pods(self) -> list[Pod]:
        sides = (self.stable, self.canary)
        return [pod for side in sides if side is not None for pod in side.pods]

    def serving(self) -> int:
        """Good pods that answer at the service's address."""
        sides = (self.stable, self.canary if self.shared else None)
        pods: Iterable[Pod] = (pod for side in sides if side for pod in side.pods)
        return sum(pod.ready for pod in pods)

    def stable_serving(self) -> int:
        """Good pods of the stable side that answer."""
        return sum(pod.ready for pod in self.stable.pods) if self.stable else 0

    def reconcile(self) -> Plan:
        decided = plan(
            Candidate(self.spec, pack({"revision": self.spec}), self.attempt),
            self.revisions,
            self.seen(),
            self.settings,
            self.scale,
            self.now,
        )
        self.revisions = decided.revisions
        desired = self.scale.minimum
        if self.stable is None:
            self.stable = Deployment(decided.stable, desired, self.now)
        if self.scale.autoscaled:
            desired = min(max(decided.minimum, self.stable.desired), self.scale.maximum)
        self.stable.apply(decided.stable, desired)
        if not decided.canary:
            self.canary = None
        elif self.canary is None:
            self.canary = Deployment(decided.canary, decided.canary_replicas, self.now)
        else:
            self.canary.apply(decided.canary, decided.canary_replicas)
        self.shared = decided.shared
        self.last = decided
        return decided

    def tick(self, seconds: int = 5) -> Plan:
        self.now += seconds
        decided = self.reconcile()
        if self.stable:
            self.stable.tick(self.now, paused=decided.paused)
        if self.canary:
            self.canary.tick(self.now, paused=False)
        return decided

    def settle(self, ticks: int = 60, seconds: int = 30) -> Plan:
        """Let time pass until nothing changes any more."""
        decided = self.tick()
        for _ in range(ticks):
            decided = self.tick(seconds)
        return decided

    def apply(self, spec: str, **settings: object) -> None:
        self.spec = spec
        if settings:
            self.settings = replace(self.settings, **settings)  # type: ignore[arg-type]
