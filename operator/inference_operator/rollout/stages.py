"""Stages of a revision's rollout: which one is due, and its deadline."""

from __future__ import annotations

from inference_operator.rollout.records import Revision
from inference_operator.rollout.settings import names_revision
from inference_operator.rollout.types import Case


def seconds_left(newest: Revision, case: Case) -> float:
    """Seconds until the current stage of the rollout is late; infinite if no deadline applies."""
    trial, settings = newest.trial, case.settings
    stopped = case.scale.minimum == 0
    if trial.reached or trial.paused or settings.paused or stopped or not trial.since:
        return float("inf")
    sides = (case.seen.stable, case.seen.canary)
    moved = [side.progressed_at for side in sides if side and side.revision == newest.digest]
    return max(trial.since, case.seen.busy_at, *moved) + settings.deadline_s - case.now


def canary_replicas(stable: int, percent: int, most: int) -> int:
    """Canary pods (1 to `most`) closest to `percent` (0..99) of all, beside `stable` others."""
    if percent <= 0:
        return 1
    fewer = max(stable * percent // (100 - percent), 1)
    nearest = min(
        (fewer, fewer + 1), key=lambda n: (abs(100 * n - percent * (stable + n)) / (stable + n), n)
    )
    return max(1, min(nearest, most))


def advance(newest: Revision, case: Case) -> tuple[Revision, float]:
    """Move to the stage that is due; return it and the seconds until time alone changes it."""
    newest = _in_stage(newest, case)
    while True:
        trial, settings = newest.trial, case.settings
        if not trial.reached and _is_reached(newest, case):
            newest = newest.with_trial(reached=case.now)
            trial = newest.trial
        stepping = settings.steps and settings.percent is None and trial.weight < 100
        if not stepping or not trial.reached or settings.paused or case.seen.failure:
            left = seconds_left(newest, case)
            return newest, max(left, 0.0) if left != float("inf") else 0.0
        left = trial.reached + settings.steps[trial.step].pause_s - case.now
        if left > 0:
            return newest, left
        newest = _in_stage(newest.with_trial(step=trial.step + 1), case)


def _in_stage(newest: Revision, case: Case) -> Revision:
    """Set the weight that the step and the settings ask for; a new stage begins now."""
    settings = case.settings
    if settings.steps and case.seen.stable_fails and canary_is_ready(newest, case):
        # No working traffic is left for a canary to protect.
        newest = newest.with_trial(step=len(settings.steps))
    trial = newest.trial
    if settings.pinned or names_revision(settings.promote, newest.digest):
        # Pinning an earlier revision means replacing the current one immediately.
        weight = 100
    elif settings.percent is not None:
        weight = settings.percent
    elif trial.step < len(settings.steps):
        weight = settings.steps[trial.step].percent
    else:
        weight = 100
    same = (weight, settings.paused) == (trial.weight, trial.paused) and trial.since
    known = case.known.get(newest.digest)
    if same and known is not None and known.trial.step == trial.step:
        return newest
    return newest.with_trial(weight=weight, paused=settings.paused, since=case.now, reached=0)


def canary_is_ready(newest: Revision, case: Case) -> bool:
    """Whether the canary Deployment has a ready pod of the newest revision."""
    side = case.seen.canary
    return side is not None and side.revision == newest.digest and side.ready > 0


def _is_reached(newest: Revision, case: Case) -> bool:
    """Whether all pods that the stage asks for are ready."""
    side = case.seen.canary
    if newest.trial.weight >= 100 or side is None:
        return False
    running = case.seen.stable.desired if case.seen.stable else case.scale.minimum
    needed = canary_replicas(running, newest.trial.weight, max(case.scale.maximum, running))
    return side.revision == newest.digest and side.complete and side.ready >= needed
