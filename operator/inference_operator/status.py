"""From what was observed to the status of an InferenceService: one pure function.

Conditions say what is true now, never which step comes next. `Ready` is about the service: does
it answer? `LatestDeploymentReady` is about the newest revision. While an earlier revision serves
and the newest does not, `Ready` stays True, says why in `reason` and `message`, and keeps the
`observedGeneration` of the spec that is being served, so that `kubectl wait` waits for the newest.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from inference_operator import names
from inference_operator.observed import Problem
from inference_operator.verdict import Situation, Verdict, judge, previous_predictor, revision_of

Json = Mapping[str, Any]
Status = dict[str, Any]


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
    return any(revision_of(situation, pod) != verdict.current for pod in verdict.ready)


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
    before = previous_predictor(situation)
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
        revision = revision_of(situation, pod)
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
