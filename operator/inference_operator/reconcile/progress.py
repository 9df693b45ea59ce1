"""Derives the rollout's inputs from the observed state of a service. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from inference_operator import names
from inference_operator.api.types import InferenceService
from inference_operator.cache.observed import DeploymentState, Observed, PodState, Problem
from inference_operator.config import Config
from inference_operator.desired.revision import RecordedRevision, build_candidate
from inference_operator.desired.state import Desired, build_children, scale_of
from inference_operator.rollout.plan import plan
from inference_operator.rollout.records import Revision
from inference_operator.rollout.types import Failure, Scale, Seen, Side

# After this many crashes, restarting the server again will not help.
CRASHES_UNTIL_DECISIVE = 3
# The model's answers do not change by themselves.
_DECISIVE = {"GoldenImageFailed"}
_LATE = "ProgressDeadlineExceeded"


def build_state(
    service: InferenceService,
    config: Config,
    recorded: RecordedRevision,
    observed: Observed,
    now: int,
) -> Desired:
    """Build what should exist at this point of a service's rollout.

    Args:
        service: The parsed resource.
        config: Settings of the operator.
        recorded: The latest revision according to the status.
        observed: Children and pods.
        now: Seconds since 1970.

    Raises:
        SpecError: The spec names an unknown revision.
    """
    known = note_digests(observed.revisions, observed.pods)
    candidate = build_candidate(service, config, recorded, known)
    scale = scale_of(service)
    seen = read_seen(observed, service.name, candidate.digest, scale, now)
    return build_children(service, plan(candidate, known, seen, service.rollout, scale, now))


def read_seen(observed: Observed, service: str, newest: str, scale: Scale, now: int) -> Seen:
    """Read both sides of a rollout and the state of the newest revision's pods.

    Args:
        observed: Children and pods.
        service: Name of the InferenceService.
        newest: Digest of the revision that its spec asks for.
        scale: Number of replicas that its spec asks for.
        now: Seconds since 1970.
    """
    stable, canary = names.predictor(service), names.canary(service)
    mine = [pod for pod in observed.pods if pod.revision == newest and not pod.ready]
    return Seen(
        stable=_side(observed, stable, max(scale.minimum, 1)),
        canary=_side(observed, canary, 0),
        failure=_failure(observed, mine, newest),
        busy_at=max((_busy_at(pod, now) for pod in mine), default=0),
        stable_fails=_is_stuck([pod for pod in observed.pods if pod.deployment == stable]),
    )


def _side(observed: Observed, name: str, enough: int) -> Side | None:
    """Read one Deployment; it is complete with `enough` pods, or all it asks for if that is 0."""
    state = observed.deployments.get(name)
    if state is None:
        return None
    ready = sum(
        pod.ready and pod.revision == state.revision
        for pod in observed.pods
        if pod.deployment == name
    )
    needed = min(state.desired, enough) if enough else state.desired
    complete = (
        state.observed_generation >= state.generation
        and state.replicas == state.updated
        and min(state.available, ready) >= needed
    )
    return Side(state.revision, state.desired, ready, complete, state.progressed_at)


def _busy_at(pod: PodState, now: int) -> int:
    """Time at which a pod last did slow work that its Deployment does not show."""
    if pod.stage == "Downloading" and pod.problem is None:
        return now
    return pod.downloaded_at


def _failure(observed: Observed, pods: Iterable[PodState], newest: str) -> Failure | None:
    """Return the most informative problem of the newest revision, or None."""
    problems = [(pod.problem.rank, pod.name, pod, pod.problem) for pod in pods if pod.problem]
    decisive = [found for found in problems if _is_decisive(found[2], found[3])]
    if problems:
        _, name, pod, problem = min(decisive or problems, key=lambda found: found[:2])
        message = f"pod {name}: {problem.message}"
        return Failure(problem.reason, message, _is_decisive(pod, problem))
    for state in observed.deployments.values():
        stuck = _stuck(state, newest)
        if stuck is not None:
            return Failure(stuck.reason, stuck.message)
    return None


def _is_decisive(pod: PodState, problem: Problem) -> bool:
    if problem.reason in _DECISIVE:
        return True
    return pod.crashes >= CRASHES_UNTIL_DECISIVE and problem.exit_code is not None


def _stuck(state: DeploymentState, newest: str) -> Problem | None:
    """Return why no pod can be created; the rollout itself judges a missed deadline."""
    problem = state.problem if state.revision == newest else None
    return problem if problem is not None and problem.reason != _LATE else None


def _is_stuck(pods: list[PodState]) -> bool:
    return bool(pods) and all(not pod.ready and pod.problem is not None for pod in pods)


def note_digests(revisions: Iterable[Revision], pods: Iterable[PodState]) -> tuple[Revision, ...]:
    """Return the revisions, each with the digest of the model that its first pod loaded."""
    loaded: dict[str, str] = {}
    for pod in pods:
        if pod.model_digest:
            loaded.setdefault(pod.revision, pod.model_digest)
    return tuple(
        one.changed(model_digest=loaded[one.digest])
        if not one.model_digest and one.digest in loaded
        else one
        for one in revisions
    )
