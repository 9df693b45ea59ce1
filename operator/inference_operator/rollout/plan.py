"""A pure function that decides which revision each Deployment runs and with how many pods.

At most two Deployments exist. The stable one runs the last revision that was rolled out. During an
update without a canary it runs the newest revision, and the Deployment's own rolling update
replaces the pods. The canary Deployment exists only while a newer revision is tried alongside the
stable one.

The stable side keeps its scale until the newest revision is fully rolled out, so a rollback never
waits for a pod.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from inference_operator.rollout.records import (
    Refusal,
    Revision,
    Trial,
    last_rolled_out,
    previously_rolled_out,
)
from inference_operator.rollout.settings import Rollback, RolloutSettings, names_revision
from inference_operator.rollout.stages import (
    advance,
    canary_is_ready,
    canary_replicas,
    seconds_left,
)
from inference_operator.rollout.types import Candidate, Case, Phase, Plan, Scale, Seen

# Maximum time a canary's pods stay while the stable side scales up to take over their share.
HANDOVER_SECONDS = 120
# A canary smaller than this fraction of the stable side's pods is removed at once: an autoscaler's
# headroom absorbs that much.
_NEGLIGIBLE = 0.25
ABORTED = "Aborted"


def plan(
    candidate: Candidate,
    known: Iterable[Revision],
    seen: Seen,
    settings: RolloutSettings,
    scale: Scale,
    now: int,
) -> Plan:
    """Decide the desired state of the rollout.

    Args:
        candidate: The revision that the spec asks for.
        known: All recorded revisions.
        seen: Observed state of the Deployments and pods.
        settings: How to roll out.
        scale: Requested number of replicas.
        now: Seconds since 1970.
    """
    case = Case({one.digest: one for one in known}, seen, settings, scale, now)
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


def _begin(candidate: Candidate, case: Case) -> Revision:
    """Return the newest revision's record, with a new trial if it was not the newest before."""
    top = max((one.number for one in case.known.values()), default=0)
    found = case.known.get(candidate.digest)
    fresh = Trial(
        attempt=candidate.attempt,
        since=case.now,
        scale=case.seen.stable.desired if case.seen.stable else 0,
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


def _judge(newest: Revision, case: Case) -> Revision:
    """Return the newest revision, refused if it is aborted or is rolled back automatically."""
    refusal, aborted = newest.refusal, names_revision(case.settings.abort, newest.digest)
    if refusal is not None and refusal.reason == ABORTED and not aborted:
        return newest.changed(refusal=None).with_trial(since=case.now, reached=0, step=0)
    if aborted and (refusal is None or refusal.reason != ABORTED):
        return newest.changed(refusal=Refusal(ABORTED, "aborted on request", case.now))
    if refusal is not None or case.settings.rollback is Rollback.MANUAL:
        return newest
    return newest.changed(refusal=_verdict(newest, case))


def _verdict(newest: Revision, case: Case) -> Refusal | None:
    """Return why the newest revision must be rolled back now, or None."""
    failure = case.seen.failure
    if failure is not None and failure.decisive:
        return Refusal(failure.reason, failure.message, case.now)
    if seconds_left(newest, case) > 0:
        return None
    late = f"not ready within {case.settings.deadline_s} s"
    if failure is None:
        return Refusal("ProgressDeadlineExceeded", late, case.now)
    return Refusal(failure.reason, f"{late}: {failure.message}", case.now)


def _without_trial(newest: Revision, case: Case) -> Plan:
    """Run the newest revision on the stable side: nothing is new, or there is no earlier one."""
    seen = case.seen
    # The first revision that answers becomes the rollback target, however few pods it has.
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
        canary_replicas=seen.canary.desired if keep and seen.canary else 0,
        shared=keep,
        wait=max(newest.trial.handover_until - case.now, 0.0) if keep else 0.0,
    )


def _is_rolled_out(newest: Revision, seen: Seen) -> bool:
    side = seen.stable
    return side is not None and side.revision == newest.digest and side.complete and side.ready > 0


def _rolled_out(newest: Revision, case: Case) -> Revision:
    order = max(one.rolled_out for one in (*case.known.values(), newest)) + 1
    return newest.changed(rolled_out=order).with_trial(reached=newest.trial.reached or case.now)


def _hand_over(newest: Revision, case: Case) -> tuple[Revision, bool]:
    """Decide whether the canary's pods must stay until the stable side can take over their share.

    Under an autoscaler the stable side has only the pods that its own share needs, so it is scaled
    up first.
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


def _rolled_back(newest: Revision, stable: Revision, case: Case) -> Plan:
    newest, keep = _hand_over(newest, case)
    canary = case.seen.canary
    return Plan(
        revisions=case.settle(newest),
        newest=newest.digest,
        stable=stable.digest,
        phase=Phase.ROLLED_BACK,
        minimum=max(case.scale.minimum, newest.trial.handover_replicas if keep else 0),
        canary=canary.revision if keep and canary else "",
        canary_replicas=canary.desired if keep and canary else 0,
        shared=keep,
        weight=0,
        wait=max(newest.trial.handover_until - case.now, 0.0) if keep else 0.0,
    )


def _try_out(newest: Revision, stable: Revision, case: Case) -> Plan:
    """Plan the next stage of the rollout of a newer revision."""
    newest, wait = advance(newest, case)
    if newest.trial.weight < 100:
        return _canary(newest, stable, case, wait)
    if _is_rolled_out(newest, case.seen):
        return _without_trial(_rolled_out(newest, case), case)
    canary = case.seen.canary
    promoting = canary is not None and canary.revision == newest.digest
    keep = promoting and canary_is_ready(newest, case)
    if not promoting:
        newest, keep = _hand_over(newest, case)
    return Plan(
        revisions=case.settle(newest),
        newest=newest.digest,
        stable=newest.digest,
        phase=Phase.PROMOTING if promoting else Phase.UPDATING,
        minimum=max(_full_scale(newest, case), newest.trial.handover_replicas if keep else 0),
        canary=canary.revision if keep and canary else "",
        canary_replicas=canary.desired if keep and canary else 0,
        shared=keep,
        paused=case.settings.paused,
        wait=wait,
    )


def _canary(newest: Revision, stable: Revision, case: Case, wait: float) -> Plan:
    weight = newest.trial.weight
    running = case.seen.stable.desired if case.seen.stable else case.scale.minimum
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
        # Without a traffic share its load does not follow the stable side's: scale it separately.
        canary_autoscaled=weight == 0 and case.scale.autoscaled,
        shared=weight > 0,
        weight=weight,
        wait=wait,
    )


def _full_scale(newest: Revision, case: Case) -> int:
    """Minimum scale of the stable side while another revision is tried."""
    if not case.scale.autoscaled:
        return case.scale.minimum
    return max(case.scale.minimum, min(newest.trial.scale, case.scale.maximum))


def _bounded(decided: Plan, limit: int, seen: Seen) -> Plan:
    """Drop unused revisions beyond the history limit from the plan."""
    used = {side.revision for side in (seen.stable, seen.canary) if side is not None}
    used |= {decided.newest, decided.stable, decided.canary}
    good = (last_rolled_out(decided.revisions), previously_rolled_out(decided.revisions))
    used |= {one.digest for one in good if one is not None}
    spare = [one.digest for one in decided.revisions if one.digest not in used]
    kept = used | set(spare[max(len(spare) - limit, 0) :])
    return replace(decided, revisions=tuple(one for one in decided.revisions if one.digest in kept))
