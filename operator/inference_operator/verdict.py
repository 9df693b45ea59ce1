"""What the pods of a service amount to: which revision serves, how many, and what is wrong.

Every pod is weighed, of the newest revision and of earlier ones; of several problems the most
telling one is chosen, and always the same one. Pure; `status` puts the verdict into words.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from inference_operator import names
from inference_operator.errors import StatusError
from inference_operator.manifests import Desired
from inference_operator.observed import Observed, PodState, Problem
from inference_operator.wanted import InferenceService

Json = Mapping[str, Any]


@dataclass(frozen=True)
class Situation:
    """Everything that the status is computed from.

    `service` is None when the resource could not be understood; `error` then says why. `now` is
    the time as RFC 3339 in UTC; it appears only where something changed.
    """

    body: Json
    observed: Observed
    now: str
    cluster_domain: str = "cluster.local"
    service: InferenceService | None = None
    desired: Desired | None = None
    error: StatusError | None = None

    @property
    def previous(self) -> Json:
        """The status as it is."""
        status: Json = self.body.get("status") or {}
        return status

    @property
    def generation(self) -> int:
        """Generation of the spec that was looked at."""
        return int(self.body["metadata"].get("generation", 0))


@dataclass(frozen=True)
class Verdict:
    """What the pods amount to.

    `current` and `serving` are revision names, empty when there is none; `serving` is the earlier
    revision that answers while `current` does not.
    """

    current: str
    serving: str
    ready: tuple[PodState, ...]
    ready_current: int
    wanted: int
    complete: bool
    problem: Problem | None
    stage: str
    stopped: bool

    @property
    def answers(self) -> bool:
        """Whether any pod answers."""
        return bool(self.ready)


def judge(situation: Situation) -> Verdict:
    """Weigh all pods of the service."""
    observed, previous = situation.observed, previous_predictor(situation)
    current = (
        situation.desired.revision
        if situation.desired
        else previous.get("latestCreatedRevision", "")
    )
    deployment = observed.deployment
    ready = tuple(pod for pod in observed.pods if pod.ready)
    ready_current = sum(revision_of(situation, pod) == current for pod in ready)
    earlier = sorted({revision_of(situation, pod) for pod in ready} - {current})
    last_good = previous.get("latestRolledoutRevision", "")
    serving = last_good if last_good in earlier else (earlier[0] if earlier else "")
    wanted = deployment.wanted if deployment else 1
    stopped = situation.service is not None and situation.service.scaling.min_replicas == 0
    mine = [
        pod
        for pod in observed.pods
        if revision_of(situation, pod) == current and not pod.ready and pod.stage != "Terminating"
    ]
    short = ready_current < wanted
    return Verdict(
        current=current,
        serving="" if ready_current else serving,
        ready=ready,
        ready_current=ready_current,
        wanted=wanted,
        complete=bool(deployment and deployment.complete and not earlier),
        problem=_problem(situation, mine if short else []),
        stage=_stage(mine, stopped=stopped),
        stopped=stopped,
    )


def revision_of(situation: Situation, pod: PodState) -> str:
    """Name of the revision that a pod belongs to."""
    return names.revision(situation.body["metadata"]["name"], pod.revision)


def previous_predictor(situation: Situation) -> Json:
    """What the status has said of the predictor so far."""
    components = situation.previous.get("components") or {}
    predictor: Json = components.get("predictor") or {}
    return predictor


def _problem(situation: Situation, pods: list[PodState]) -> Problem | None:
    """The one problem to tell: a refused spec, else the most telling one of the pods."""
    if situation.error is not None:
        return Problem(situation.error.reason, situation.error.message)
    found = [(pod.problem.rank, pod.name, pod.problem) for pod in pods if pod.problem is not None]
    deployment = situation.observed.deployment
    stuck = deployment.problem if deployment else None
    if found:
        rank, name, problem = min(found, key=lambda item: item[:2])
        if stuck is None or rank <= stuck.rank:
            return Problem(
                problem.reason, f"pod {name}: {problem.message}", problem.exit_code, rank
            )
    return stuck


def _stage(pods: list[PodState], *, stopped: bool) -> str:
    """The furthest stage that a pod of the newest revision has come to."""
    if stopped:
        return "Stopped"
    order = ("Pending", "Downloading", "Starting")
    reached = [order.index(pod.stage) for pod in pods if pod.stage in order]
    return order[max(reached)] if reached else "Pending"
