"""Which revision each Deployment runs, with how many pods: one pure function.

Two Deployments exist at most. The stable one runs the revision that was rolled out last, or, while
an update without a canary is under way, the newest: then the Deployment's own rolling update
replaces the pods. The canary one exists only while a newer revision is tried beside the stable one.

The stable side keeps its scale until the newest revision is rolled out completely, so taking a
revision back never waits for a pod.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum

from inference_operator.rollout.records import (
    Refusal,
    Revision,
    Trial,
    last_rolled_out,
    previously_rolled_out,
)
from inference_operator.rollout.settings import Rollback, RolloutSettings, names_revision

# How long a canary's pods stay at most while the stable side is raised to take over their share.
HANDOVER_SECONDS = 120
# A canary with less than this share of the stable side's pods leaves at once: an autoscaler's
# headroom takes that much.
_NEGLIGIBLE = 0.25


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a pod of the newest revision does not serve.

    `decisive` when waiting cannot help: it crashed again and again, or answered wrongly.
    """

    reason: str
    message: str
    decisive: bool = False


@dataclass(frozen=True, slots=True)
class Side:
    """One Deployment as it was last seen.

    `revision` is the digest in its pod template. `complete` when no pod of another template is
    left and all pods answer. `progressed_at` is when its controller last saw it move on (seconds
    since 1970; 0 when unknown).
    """

    revision: str
    wanted: int = 1
    ready: int = 0
    complete: bool = False
    progressed_at: int = 0


@dataclass(frozen=True, slots=True)
class Seen:
    """What was seen of a service.

    `failure` is about the pods of the newest revision. `busy_at` is when one of them last did
    something that takes its time and is not visible in the Deployment: a download that is running
    (then it is now) or has ended. `stable_fails` when every pod of the stable side is stuck.
    """

    stable: Side | None = None
    canary: Side | None = None
    failure: Failure | None = None
    busy_at: int = 0
    stable_fails: bool = False


@dataclass(frozen=True, slots=True)
class Scale:
    """How many replicas the spec asks for; a service with `minimum` 0 is stopped."""

    minimum: int = 1
    maximum: int = 1
    autoscaled: bool = False


class Phase(StrEnum):
    """What a rollout is doing."""

    STABLE = "Stable"
    UPDATING = "Updating"
    CANARY = "Canary"
    PROMOTING = "Promoting"
    ROLLED_BACK = "RolledBack"


@dataclass(frozen=True, slots=True)
class Plan:
    """What should be.

    `stable` and `canary` are digests; `canary` is empty when there is no canary. `minimum` is what
    the stable side's autoscaler may not go below. `shared` when the service's address leads to
    both sides. `weight` is the share in percent that the newest revision should have. `wait` is
    the number of seconds after which time alone changes the plan, 0 when it does not.
    """

    revisions: tuple[Revision, ...]
    newest: str
    stable: str
    phase: Phase
    minimum: int
    canary: str = ""
    canary_replicas: int = 0
    canary_autoscaled: bool = False
    shared: bool = False
    weight: int = 100
    paused: bool = False
    wait: float = 0.0

    def revision(self, digest: str) -> Revision:
        """The revision of that digest.

        Raises:
            KeyError: it is not part of the plan.
        """
        return {one.digest: one for one in self.revisions}[digest]

    @property
    def refusal(self) -> Refusal | None:
        """Why the newest revision is refused, None when it is not."""
        if self.phase is not Phase.ROLLED_BACK:
            return None
        return self.revision(self.newest).refusal


@dataclass(frozen=True, slots=True)
class Candidate:
    """What the spec asks for: a revision, and the digest of the settings it is tried under."""

    digest: str
    packed: bytes
    attempt: str = ""


@dataclass(frozen=True, slots=True)
class _Case:
    """The input of one decision, so that its parts need not be handed around one by one."""

    known: dict[str, Revision]
    seen: Seen
    settings: RolloutSettings
    scale: Scale
    now: int

    def settle(self, newest: Revision) -> tuple[Revision, ...]:
        return tuple(sorted({**self.known, newest.digest: newest}.values(), key=_by_number))


def _by_number(revision: Revision) -> tuple[int, str]:
    return revision.number, revision.digest


def plan(
    candidate: Candidate,
    known: Iterable[Revision],
    seen: Seen,
    settings: RolloutSettings,
    scale: Scale,
    now: int,
) -> Plan:
    """Decide what should be.

    Args:
        candidate: What the spec asks for.
        known: All revisions on record.
        seen: The Deployments and pods.
        settings: How to roll out.
        scale: How many replicas are asked for.
        now: Seconds since 1970.
    """
    case = _Case({one.digest: one for one in known}, seen, settings, scale, now)
    newest = _begin(candidate, case)
    stable = last_rolled_out(case.known.values())
    if stable is None or stable.digest == newest.digest:
        decided = _without_trial(newest, case)
    else:
        newest = _judge(newest, case)
        if newest.refusal is not None:
            decided = _rolled_back(newest, stable, case)
        else:
            decided = _try_out(newest, stable, case)
    return _bounded(decided, settings.history_limit, seen)


def _begin(candidate: Candidate, case: _Case) -> Revision:
    """The record of the newest revision; a new trial when it was not the newest before."""
    top = max((one.number for one in case.known.values()), default=0)
    found = case.known.get(candidate.digest)
    fresh = Trial(
        attempt=candidate.attempt,
        since=case.now,
        scale=case.seen.stable.wanted if case.seen.stable else 0,
    )
    if found is None:
        return Revision(candidate.digest, top + 1, candidate.packed, fresh)
    if found.number < top:
        return found.changed(number=top + 1, trial=fresh, refusal=None)
    if found.trial.attempt != candidate.attempt and found.trial.attempt:
        last = last_rolled_out(case.known.values())
        if last is None or last.digest != found.digest:
            return found.changed(trial=fresh, refusal=None)
    return found


def _judge(newest: Revision, case: _Case) -> Revision:
    """The newest revision, refused when it is aborted, or fails and is rolled back by itself."""
    if names_revision(case.settings.abort, newest.digest):
        if newest.refusal is not None and newest.refusal.reason == "Aborted":
            return newest
        return newest.changed(refusal=Refusal("Aborted", "aborted on request", case.now))
    if newest.refusal is not None:
        if newest.refusal.reason == "Aborted":
            return newest.changed(refusal=None).with_trial(since=case.now, reached=0, step=0)
        return newest
    if case.settings.rollback is Rollback.MANUAL:
        return newest
    failure = case.seen.failure
    if failure is not None and failure.decisive:
        return newest.changed(refusal=Refusal(failure.reason, failure.message, case.now))
    if _seconds_left(newest, case) <= 0:
        late = f"not ready within {case.settings.deadline_s} s"
        reason = failure.reason if failure else "ProgressDeadlineExceeded"
        message = f"{late}: {failure.message}" if failure else late
        return newest.changed(refusal=Refusal(reason, message, case.now))
    return newest


def _seconds_left(newest: Revision, case: _Case) -> float:
    """Seconds until the present stage of a rollout is late; infinite when it cannot be."""
    trial, settings = newest.trial, case.settings
    stopped = case.scale.minimum == 0
    if trial.reached or trial.paused or settings.paused or stopped or not trial.since:
        return float("inf")
    sides = (case.seen.stable, case.seen.canary)
    moved = [side.progressed_at for side in sides if side and side.revision == newest.digest]
    return max(trial.since, case.seen.busy_at, *moved) + settings.deadline_s - case.now


def _without_trial(newest: Revision, case: _Case) -> Plan:
    """There is nothing to go back to, or nothing new: the stable side runs the newest."""
    seen = case.seen
    # The first revision that answers is what a later one is taken back to, however few its pods.
    side = seen.stable
    if newest.rolled_out == 0 and side and side.revision == newest.digest and side.ready:
        newest = _rolled_out(newest, case)
    newest, keep = _hand_over(newest, case) if newest.rolled_out else (newest, False)
    minimum = max(case.scale.minimum, newest.trial.handover_replicas if keep else 0)
    return Plan(
        revisions=case.settle(newest),
        newest=newest.digest,
        stable=newest.digest,
        phase=Phase.STABLE if newest.rolled_out else Phase.UPDATING,
        minimum=minimum,
        canary=seen.canary.revision if keep and seen.canary else "",
        canary_replicas=seen.canary.wanted if keep and seen.canary else 0,
        shared=keep,
        wait=max(newest.trial.handover_until - case.now, 0.0) if keep else 0.0,
    )


def _is_rolled_out(newest: Revision, seen: Seen) -> bool:
    side = seen.stable
    return side is not None and side.revision == newest.digest and side.complete and side.ready > 0


def _rolled_out(newest: Revision, case: _Case) -> Revision:
    order = max(one.rolled_out for one in (*case.known.values(), newest)) + 1
    return newest.changed(rolled_out=order).with_trial(reached=newest.trial.reached or case.now)


def _hand_over(newest: Revision, case: _Case) -> tuple[Revision, bool]:
    """Whether the canary's pods must stay until the stable side can take over their share.

    Under an autoscaler the stable side has only what its own share needs. It is raised first.
    """
    canary, stable, trial = case.seen.canary, case.seen.stable, newest.trial
    if canary is None:
        if trial.handover_until:
            newest = newest.with_trial(handover_until=0, handover_replicas=0)
        return newest, False
    tried = {**case.known, newest.digest: newest}.get(canary.revision)
    if tried is None:
        return newest, False
    if not trial.handover_until:
        ready = stable.ready if stable else 0
        heavy = tried.trial.weight > 0 and canary.ready > _NEGLIGIBLE * ready
        if not (case.scale.autoscaled and heavy):
            return newest, False
        newest = newest.with_trial(
            handover_until=case.now + HANDOVER_SECONDS,
            handover_replicas=min(ready + canary.ready, case.scale.maximum),
        )
    needed = newest.trial.handover_replicas
    raised = stable is not None and stable.ready >= needed
    return newest, not raised and case.now < newest.trial.handover_until and canary.ready > 0


def _rolled_back(newest: Revision, stable: Revision, case: _Case) -> Plan:
    newest, keep = _hand_over(newest, case)
    canary = case.seen.canary
    return Plan(
        revisions=case.settle(newest),
        newest=newest.digest,
        stable=stable.digest,
        phase=Phase.ROLLED_BACK,
        minimum=max(case.scale.minimum, newest.trial.handover_replicas if keep else 0),
        canary=canary.revision if keep and canary else "",
        canary_replicas=canary.wanted if keep and canary else 0,
        shared=keep,
        weight=0,
        wait=max(newest.trial.handover_until - case.now, 0.0) if keep else 0.0,
    )


def _try_out(newest: Revision, stable: Revision, case: _Case) -> Plan:
    """The next stage of the rollout of a newer revision."""
    newest, wait = _advance(newest, case)
    if newest.trial.weight < 100:
        return _canary(newest, stable, case, wait)
    if _is_rolled_out(newest, case.seen):
        return _without_trial(_rolled_out(newest, case), case)
    canary = case.seen.canary
    promoting = canary is not None and canary.revision == newest.digest
    keep = promoting and _side_ready(newest, case)
    if not promoting:
        newest, keep = _hand_over(newest, case)
    return Plan(
        revisions=case.settle(newest),
        newest=newest.digest,
        stable=newest.digest,
        phase=Phase.PROMOTING if promoting else Phase.UPDATING,
        minimum=max(_full_scale(newest, case), newest.trial.handover_replicas if keep else 0),
        canary=canary.revision if keep and canary else "",
        canary_replicas=canary.wanted if keep and canary else 0,
        shared=keep,
        paused=case.settings.paused,
        wait=wait,
    )


def _canary(newest: Revision, stable: Revision, case: _Case, wait: float) -> Plan:
    weight = newest.trial.weight
    running = case.seen.stable.wanted if case.seen.stable else case.scale.minimum
    most = max(case.scale.maximum, running)
    replicas = canary_replicas(running, weight, most)
    stopped = case.scale.minimum == 0
    return Plan(
        revisions=case.settle(newest),
        newest=newest.digest,
        stable=stable.digest,
        phase=Phase.CANARY,
        minimum=_full_scale(newest, case),
        canary="" if stopped else newest.digest,
        canary_replicas=replicas,
        # Without a share its load does not follow the stable side's, so it scales by its own.
        canary_autoscaled=weight == 0 and case.scale.autoscaled,
        shared=weight > 0,
        weight=weight,
        wait=wait,
    )


def _full_scale(newest: Revision, case: _Case) -> int:
    """What the stable side may not go below while another revision is tried."""
    if not case.scale.autoscaled:
        return case.scale.minimum
    return max(case.scale.minimum, min(newest.trial.scale, case.scale.maximum))


def canary_replicas(stable: int, percent: int, most: int) -> int:
    """Pods beside `stable` others that come nearest to `percent` (0..99) of all; 1 to `most`."""
    if percent <= 0:
        return 1
    fewer = max(stable * percent // (100 - percent), 1)
    nearest = min(
        (fewer, fewer + 1), key=lambda n: (abs(100 * n - percent * (stable + n)) / (stable + n), n)
    )
    return max(1, min(nearest, most))


def _advance(newest: Revision, case: _Case) -> tuple[Revision, float]:
    """The stage that is due, and the seconds until time alone makes another one due."""
    newest = _in_stage(newest, case)
    while True:
        trial, settings = newest.trial, case.settings
        if not trial.reached and _is_reached(newest, case):
            newest = newest.with_trial(reached=case.now)
            trial = newest.trial
        stepping = settings.steps and settings.percent is None and trial.weight < 100
        if not stepping or not trial.reached or settings.paused or case.seen.failure:
            left = _seconds_left(newest, case)
            return newest, left if left != float("inf") else 0.0
        left = trial.reached + settings.steps[trial.step].pause_s - case.now
        if left > 0:
            return newest, left
        newest = _in_stage(newest.with_trial(step=trial.step + 1), case)


def _in_stage(newest: Revision, case: _Case) -> Revision:
    """The record with the weight that its step and the settings ask for; a new stage is dated."""
    settings, trial = case.settings, newest.trial
    if names_revision(settings.promote, newest.digest):
        weight = 100
    elif settings.percent is not None:
        weight = settings.percent
    elif trial.step < len(settings.steps):
        weight = settings.steps[trial.step].percent
    else:
        weight = 100
    if settings.steps and case.seen.stable_fails and _side_ready(newest, case):
        # There is no traffic that a canary could protect.
        weight = 100
    same = (weight, settings.paused) == (trial.weight, trial.paused) and trial.since
    known = case.known.get(newest.digest)
    if same and known is not None and known.trial.step == trial.step:
        return newest
    return newest.with_trial(weight=weight, paused=settings.paused, since=case.now, reached=0)


def _side_ready(newest: Revision, case: _Case) -> bool:
    side = case.seen.canary
    return side is not None and side.revision == newest.digest and side.ready > 0


def _is_reached(newest: Revision, case: _Case) -> bool:
    """Whether all pods that the stage asks for answer."""
    side = case.seen.canary
    if newest.trial.weight >= 100 or side is None:
        return False
    running = case.seen.stable.wanted if case.seen.stable else case.scale.minimum
    needed = canary_replicas(running, newest.trial.weight, max(case.scale.maximum, running))
    return side.revision == newest.digest and side.complete and side.ready >= needed


def _bounded(decided: Plan, limit: int, seen: Seen) -> Plan:
    """The plan without revisions that are older than the history may be."""
    used = {side.revision for side in (seen.stable, seen.canary) if side is not None}
    used |= {decided.newest, decided.stable, decided.canary}
    good = (last_rolled_out(decided.revisions), previously_rolled_out(decided.revisions))
    used |= {one.digest for one in good if one is not None}
    spare = [one.digest for one in decided.revisions if one.digest not in used]
    kept = used | set(spare[max(len(spare) - limit, 0) :])
    return replace(decided, revisions=tuple(one for one in decided.revisions if one.digest in kept))
