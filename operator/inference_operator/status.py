"""From what was observed to the status of an InferenceService: one pure function.

Conditions say what is true now, never which step comes next. `Ready` is about the service: does
it answer? `LatestDeploymentReady` is about the newest revision. While an earlier revision serves
and the newest does not, `Ready` stays True, says why in `reason` and `message`, and keeps the
`observedGeneration` of the spec that is being served, so that `kubectl wait` waits for the newest.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from inference_operator import names
from inference_operator.errors import StatusError
from inference_operator.manifests import Desired
from inference_operator.observed import Observed, PodState, Problem
from inference_operator.spec import InferenceService

Json = Mapping[str, Any]
Status = dict[str, Any]


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


def summarize(situation: Situation) -> Status:
    """The whole status as it should be; equal to the previous one when nothing changed."""
    verdict = judge(situation)
    metadata = situation.body["metadata"]
    name, namespace = metadata["name"], metadata["namespace"]
    deployment = situation.observed.deployment
    address = f"http://{names.predictor(name)}.{namespace}.svc.{situation.cluster_domain}"
    url = address
    if situation.service is not None and situation.service.exposure.type == "LoadBalancer":
        outside = situation.observed.load_balancer
        url = f"http://[{outside}]" if ":" in outside else f"http://{outside}" if outside else url
    selector = ",".join(f"{key}={value}" for key, value in names.selector(name).items())
    status: Status = {
        "observedGeneration": situation.generation,
        "address": {"url": address},
        "replicas": deployment.replicas if deployment else 0,
        "selector": selector,
        "conditions": _conditions(situation, verdict),
        "components": {"predictor": _predictor(situation, verdict, address)},
        "modelStatus": _model_status(situation, verdict),
    }
    if verdict.answers:
        status["url"] = url
    return status


def judge(situation: Situation) -> Verdict:
    """Weigh all pods of the service."""
    observed, previous = situation.observed, _previous_predictor(situation)
    current = (
        situation.desired.revision
        if situation.desired
        else previous.get("latestCreatedRevision", "")
    )
    deployment = observed.deployment
    ready = tuple(pod for pod in observed.pods if pod.ready)
    ready_current = sum(_revision(situation, pod) == current for pod in ready)
    earlier = sorted({_revision(situation, pod) for pod in ready} - {current})
    last_good = previous.get("latestRolledoutRevision", "")
    serving = last_good if last_good in earlier else (earlier[0] if earlier else "")
    wanted = deployment.wanted if deployment else 1
    stopped = situation.service is not None and situation.service.scaling.min_replicas == 0
    mine = [
        pod
        for pod in observed.pods
        if _revision(situation, pod) == current and not pod.ready and pod.stage != "Terminating"
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


def _revision(situation: Situation, pod: PodState) -> str:
    return names.revision(situation.body["metadata"]["name"], pod.revision)


def _previous_predictor(situation: Situation) -> Json:
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


_STAGE_MESSAGES = {
    "Stopped": "minReplicas is 0: raise it to serve again",
    "Pending": "waiting for a pod to be scheduled",
    "Downloading": "the model is being downloaded",
    "Starting": "the model server is starting and loads the model",
}


def _conditions(situation: Situation, verdict: Verdict) -> list[Status]:
    ready = _ready(verdict)
    if verdict.answers:
        served = (verdict.complete or not _earlier_ready(situation, verdict)) and bool(
            verdict.ready_current
        )
        if situation.error is not None or not served:
            before = _condition(situation.previous, "Ready").get("observedGeneration")
            ready["observedGeneration"] = before or max(situation.generation - 1, 0)
    predictor = {**ready, "type": "PredictorReady"}
    conditions = [ready, predictor, _latest(verdict)]
    return [_stamped(condition, situation) for condition in conditions]


def _earlier_ready(situation: Situation, verdict: Verdict) -> bool:
    return any(_revision(situation, pod) != verdict.current for pod in verdict.ready)


def _ready(verdict: Verdict) -> Status:
    """Does the service answer, and what is there to say about it?"""
    condition: Status = {"type": "Ready", "status": "True" if verdict.answers else "False"}
    problem = verdict.problem
    if not verdict.answers:
        condition["reason"] = problem.reason if problem else verdict.stage
        condition["message"] = problem.message if problem else _STAGE_MESSAGES[verdict.stage]
    elif problem is not None:
        condition["reason"] = problem.reason
        condition["message"] = f"{_who_serves(verdict)}; {problem.message}"
    elif verdict.serving:
        condition["reason"] = "RollingOut"
        detail = _STAGE_MESSAGES[verdict.stage]
        condition["message"] = f"{_who_serves(verdict)}; {verdict.current}: {detail}"
    return condition


def _who_serves(verdict: Verdict) -> str:
    if verdict.serving:
        return f"revision {verdict.serving} keeps serving"
    return f"{len(verdict.ready)} of {max(verdict.wanted, len(verdict.ready))} pods are ready"


def _latest(verdict: Verdict) -> Status:
    """Is the newest revision ready?"""
    condition: Status = {"type": "LatestDeploymentReady"}
    problem = verdict.problem
    if problem is not None:
        good = verdict.ready_current > 0 and problem.rank > 0
        condition["status"] = "True" if good else "False"
        condition |= {"reason": problem.reason, "message": problem.message}
    elif verdict.ready_current:
        condition["status"] = "True"
    else:
        condition["status"] = "False" if verdict.stopped else "Unknown"
        condition["reason"] = verdict.stage
        condition["message"] = _STAGE_MESSAGES[verdict.stage]
    return condition


def _condition(status: Json, kind: str) -> Json:
    return next((c for c in status.get("conditions") or () if c.get("type") == kind), {})


def _stamped(condition: Status, situation: Situation) -> Status:
    """With the generation it speaks of, and the time at which it last changed sides."""
    condition.setdefault("observedGeneration", situation.generation)
    before = _condition(situation.previous, condition["type"])
    same = before.get("status") == condition["status"]
    condition["lastTransitionTime"] = (
        before["lastTransitionTime"] if same and "lastTransitionTime" in before else situation.now
    )
    return condition


def _predictor(situation: Situation, verdict: Verdict, address: str) -> Status:
    before = _previous_predictor(situation)
    kept = ("latestReadyRevision", "latestRolledoutRevision", "previousRolledoutRevision", "image")
    predictor: Status = {key: before[key] for key in kept if key in before}
    if verdict.current:
        predictor["latestCreatedRevision"] = verdict.current
    if situation.desired is not None:
        predictor["image"] = situation.desired.image
    if verdict.ready_current:
        predictor["latestReadyRevision"] = verdict.current
    rolled_out = verdict.complete and verdict.ready_current > 0 and situation.error is None
    last = before.get("latestRolledoutRevision")
    if rolled_out and last != verdict.current:
        predictor["latestRolledoutRevision"] = verdict.current
        if last:
            predictor["previousRolledoutRevision"] = last
    if verdict.answers:
        predictor["url"] = address
        predictor["traffic"] = _traffic(situation, verdict)
    return predictor


def _traffic(situation: Situation, verdict: Verdict) -> list[Status]:
    """The real split: kube-proxy gives every Ready pod the same share."""
    counts: dict[str, int] = {}
    for pod in verdict.ready:
        revision = _revision(situation, pod)
        counts[revision] = counts.get(revision, 0) + 1
    latest = verdict.current if verdict.ready_current else verdict.serving
    ordered = sorted(counts, key=lambda revision: (revision != latest, revision))
    total, given = len(verdict.ready), 0
    traffic: list[Status] = []
    for revision in reversed(ordered):
        share = counts[revision] * 100 // total
        # What rounding leaves over goes to the latest, so that the shares make 100.
        percent = 100 - given if revision == latest else share
        given += share
        entry: Status = {"revisionName": revision, "percent": percent}
        entry |= {"latestRevision": True} if revision == latest else {"tag": "prev"}
        traffic.insert(0, entry)
    return traffic


def _model_status(situation: Situation, verdict: Verdict) -> Status:
    problem = verdict.problem
    before = situation.previous.get("modelStatus") or {}
    failing = problem is not None and not verdict.ready_current
    target = _model_state(verdict, ready=bool(verdict.ready_current), failing=failing)
    active = "Loaded" if verdict.answers else target
    pods = [pod for pod in situation.observed.pods if pod.stage != "Terminating"]
    status: Status = {
        "transitionStatus": _transition(situation, verdict),
        "states": {"activeModelState": active, "targetModelState": target},
        "copies": {
            "failedCopies": sum(pod.problem is not None for pod in pods),
            "totalCopies": len(pods),
        },
    }
    source = situation.service.model.source.uri if situation.service else before.get("source")
    if source:
        status["source"] = source
    if problem is not None:
        status["lastFailureInfo"] = _failure(situation, verdict, problem)
    return status


def _model_state(verdict: Verdict, *, ready: bool, failing: bool) -> str:
    if ready:
        return "Loaded"
    if verdict.stopped:
        return "Standby"
    if failing:
        return "FailedToLoad"
    return "Loading" if verdict.stage in {"Downloading", "Starting"} else "Pending"


def _transition(situation: Situation, verdict: Verdict) -> str:
    if situation.error is not None:
        invalid = situation.error.reason == "InvalidSpec"
        return "InvalidSpec" if invalid else "BlockedByFailedLoad"
    if verdict.ready_current or verdict.stopped:
        return "UpToDate" if verdict.complete or verdict.stopped else "InProgress"
    return "BlockedByFailedLoad" if verdict.problem is not None else "InProgress"


def _failure(situation: Situation, verdict: Verdict, problem: Problem) -> Status:
    """KServe's FailureInfo; the time is that of the first sight of this very failure."""
    info: Status = {"reason": problem.reason, "message": problem.message}
    if problem.exit_code is not None:
        info["exitCode"] = problem.exit_code
    if problem.message.startswith("pod "):
        info["location"] = problem.message.split(":", 1)[0].removeprefix("pod ")
    if verdict.current:
        info["modelRevisionName"] = verdict.current
    before = dict((situation.previous.get("modelStatus") or {}).get("lastFailureInfo") or {})
    time = before.pop("time", situation.now)
    info["time"] = time if before == info else situation.now
    return info


def merge_patch(before: Json, after: Json) -> Status:
    """The smallest JSON merge patch that turns `before` into `after`; {} when they are equal."""
    patch: Status = {key: None for key in before if key not in after}
    for key, value in after.items():
        old = before.get(key)
        if isinstance(old, Mapping) and isinstance(value, Mapping):
            if old != value:
                patch[key] = merge_patch(old, value)
        elif key not in before or old != value:
            patch[key] = value
    return patch
