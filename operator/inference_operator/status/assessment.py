"""Assesses a service from its pods: which revision serves, with how many pods, and what is wrong.

Every pod counts, whether of the latest revision or of an earlier one. If there are several
problems, the most informative one is reported, chosen deterministically. Pure; `conditions` and the
other modules here turn the assessment into the fields of the status.
"""

from __future__ import annotations

from dataclasses import dataclass

from inference_operator import names
from inference_operator.api.types import InferenceService
from inference_operator.cache.observed import DeploymentState, Observed, PodState, Problem
from inference_operator.desired.state import Desired
from inference_operator.errors import StatusError
from inference_operator.objects import Json
from inference_operator.rollout.records import Refusal, last_rolled_out
from inference_operator.rollout.types import Phase, Plan


@dataclass(frozen=True)
class StatusInputs:
    """Everything that the status is computed from.

    Attributes:
        body: The InferenceService with its current status.
        observed: Its children and pods.
        now: The current time in UTC as RFC 3339; used only where something changed.
        cluster_domain: DNS domain of the cluster.
        service: The parsed resource; None when it is invalid.
        desired: What should exist; None when it could not be built or applied.
        error: Why the resource is invalid, or why a child could not be applied.
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
        """The current status of the resource."""
        status: Json = self.body.get("status") or {}
        return status

    @property
    def previous_predictor(self) -> Json:
        """The predictor component in the current status."""
        predictor: Json = (self.previous.get("components") or {}).get(names.PREDICTOR) or {}
        return predictor

    @property
    def deployment(self) -> DeploymentState | None:
        """The predictor's Deployment, if it exists."""
        return self.observed.deployments.get(names.predictor(self.body["metadata"]["name"]))

    @property
    def serving_pods(self) -> tuple[PodState, ...]:
        """Ready pods that the predictor's Service sends requests to."""
        name = names.predictor(self.body["metadata"]["name"])
        routed = self.observed.endpoints.get(name, frozenset())
        return tuple(pod for pod in self.observed.pods if pod.ready and pod.name in routed)

    @property
    def load_balancer(self) -> str:
        """External host name or address of the predictor's Service, or empty."""
        return self.observed.load_balancers.get(names.predictor(self.body["metadata"]["name"]), "")

    @property
    def generation(self) -> int:
        """Generation of the spec."""
        return int(self.body["metadata"].get("generation", 0))

    @property
    def plan(self) -> Plan | None:
        """State of the rollout; None when it could not be determined."""
        return self.desired.plan if self.desired else None

    def revision_of(self, pod: PodState) -> str:
        """Name of the revision that a pod belongs to."""
        return names.revision(self.body["metadata"]["name"], pod.revision)


@dataclass(frozen=True)
class Trial:
    """Rollout state of a latest revision that is not rolled out yet or was rolled back.

    Attributes:
        phase: Phase of the rollout.
        stable: Name of the revision that keeps the rest of the traffic.
        weight: Intended share of the latest revision in percent.
        paused: Whether the rollout was paused.
        refusal: Why the revision was rolled back, or None.
        apart: Whether the canary has no share of the traffic.
        done: Whether the canary is as the spec asks for, and stays so until the spec changes.
    """

    phase: Phase
    stable: str
    weight: int
    paused: bool
    refusal: Refusal | None
    apart: bool = False
    done: bool = False


@dataclass(frozen=True)
class Assessment:
    """Assessment of a service's pods.

    Attributes:
        latest: Name of the latest revision, empty when there is none.
        serving: Name of the earlier revision that serves while `latest` does not, or empty.
        ready: All ready pods that the Service routes to.
        ready_latest: Number of answering pods of the latest revision.
        desired_replicas: Desired number of pods.
        complete: Whether every pod belongs to the latest revision and is available.
        problem: The problem to report.
        stage: Furthest startup stage of the latest revision's pods.
        stopped: Whether the service is meant to have no pods.
        trial: Rollout state of the latest revision while the rollout is not complete.
    """

    latest: str
    serving: str
    ready: tuple[PodState, ...]
    ready_latest: int
    desired_replicas: int
    complete: bool
    problem: Problem | None
    stage: str
    stopped: bool
    trial: Trial | None = None

    @property
    def serves(self) -> bool:
        """Whether any pod answers requests."""
        return bool(self.ready)

    @property
    def settled(self) -> bool:
        """Whether all desired pods serve and belong to the latest revision."""
        if self.trial is not None and self.trial.done:
            return True
        return self.complete and self.ready_latest == self.desired_replicas

    @property
    def pods(self) -> str:
        """Number of serving pods out of the desired number, as `1 of 2`."""
        ready = len(self.ready)
        return f"{ready} of {max(self.desired_replicas, ready)}"


def assess(inputs: StatusInputs) -> Assessment:
    """Assess all pods of the service."""
    observed, previous = inputs.observed, inputs.previous_predictor
    latest = (
        inputs.desired.revision if inputs.desired else previous.get("latestCreatedRevision", "")
    )
    deployment = inputs.deployment
    ready, trial = inputs.serving_pods, _trial(inputs)
    answering = {pod.name for pod in ready}
    if trial is not None and trial.apart:
        answering |= {pod.name for pod in observed.pods if pod.ready}
    latest_pods = [pod for pod in observed.pods if inputs.revision_of(pod) == latest]
    ready_latest = sum(pod.name in answering for pod in latest_pods)
    earlier = sorted({inputs.revision_of(pod) for pod in ready} - {latest})
    rolled_out = trial.stable if trial else previous.get("latestRolledoutRevision", "")
    serving = rolled_out if rolled_out in earlier else (earlier[0] if earlier else "")
    stopped = inputs.service is not None and inputs.service.scaling.min_replicas == 0
    # A revision that was rolled back does not explain why the stable one fails to serve.
    blamed = trial.stable if trial and trial.refusal and not ready else latest
    waiting = _waiting_pods(inputs, blamed, answering)
    return Assessment(
        latest=latest,
        serving="" if ready_latest else serving,
        ready=ready,
        ready_latest=ready_latest,
        desired_replicas=deployment.desired if deployment else 1,
        complete=bool(deployment and deployment.complete and not earlier),
        trial=trial,
        problem=_problem(inputs, waiting),
        stage=_stage(waiting, stopped=stopped),
        stopped=stopped,
    )


def _trial(inputs: StatusInputs) -> Trial | None:
    plan = inputs.plan
    if plan is None or plan.phase is Phase.STABLE:
        return None
    last = last_rolled_out(plan.revisions)
    if last is None:
        return None
    newest = plan.revision(plan.newest)
    canary = plan.phase is Phase.CANARY
    by_steps = inputs.service is not None and bool(inputs.service.rollout.steps)
    return Trial(
        plan.phase,
        names.revision(inputs.body["metadata"]["name"], last.digest),
        plan.weight,
        newest.trial.paused,
        plan.refusal,
        apart=canary and not plan.shared,
        done=canary and not by_steps and newest.trial.reached > 0,
    )


def _waiting_pods(inputs: StatusInputs, revision: str, answering: set[str]) -> list[PodState]:
    """Return the pods of a revision that do not answer.

    A finished pod counts only while no other pod exists: then it explains why there is none.
    """
    mine = [pod for pod in inputs.observed.pods if inputs.revision_of(pod) == revision]
    present = [pod for pod in mine if pod.stage not in {"Terminating", "Finished"}]
    return [
        pod for pod in present or mine if pod.stage != "Terminating" and pod.name not in answering
    ]


def _problem(inputs: StatusInputs, pods: list[PodState]) -> Problem | None:
    """Return the problem to report: the resource's error, else its most informative problem."""
    if inputs.error is not None:
        return Problem(inputs.error.reason, inputs.error.message)
    refusal = inputs.plan.refusal if inputs.plan else None
    if refusal is not None and (inputs.serving_pods or not any(pod.problem for pod in pods)):
        return Problem(refusal.reason, refusal.message)
    problems = [(pod.problem.rank, pod.name, pod.problem) for pod in pods if pod.problem]
    deployment = inputs.deployment
    stuck = deployment.problem if deployment else None
    if problems:
        rank, name, problem = min(problems, key=lambda item: item[:2])
        if stuck is None or rank <= stuck.rank:
            message = f"pod {name}: {problem.message}"
            return Problem(problem.reason, message, problem.exit_code, rank)
    return stuck


def _stage(pods: list[PodState], *, stopped: bool) -> str:
    """Return the furthest stage that a pod of the latest revision has reached."""
    if stopped:
        return "Stopped"
    # These include a ready pod while the Service does not route to it.
    order = ("Pending", "Downloading", "Starting", "Ready")
    reached = [order.index(pod.stage) for pod in pods if pod.stage in order]
    return order[max(reached)] if reached else "Pending"
