"""`status.modelStatus`: the state of the model in KServe's terms. Pure.

Fields and values follow KServe's v1beta1 API
(https://kserve.github.io/website/docs/reference/crd-api).
"""

from __future__ import annotations

from inference_operator.cache.observed import Problem
from inference_operator.objects import Manifest
from inference_operator.status.assessment import Assessment, StatusInputs


def build_model_status(inputs: StatusInputs, assessment: Assessment) -> Manifest:
    """Build the states of the active and target models, the copies, and the last failure."""
    problem = assessment.problem
    before = inputs.previous.get("modelStatus") or {}
    target = _target_state(assessment)
    pods = [pod for pod in inputs.observed.pods if pod.stage not in {"Terminating", "Finished"}]
    status: Manifest = {
        "transitionStatus": _transition(inputs, assessment),
        "states": {
            "activeModelState": "Loaded" if assessment.serves else target,
            "targetModelState": target,
        },
        "copies": {
            "failedCopies": sum(pod.problem is not None for pod in pods),
            "totalCopies": len(pods),
        },
    }
    source = inputs.service.model.source.uri if inputs.service else before.get("source")
    if source:
        status["source"] = source
    if problem is not None:
        status["lastFailureInfo"] = _failure(inputs, assessment, problem)
    return status


def _target_state(assessment: Assessment) -> str:
    if assessment.ready_latest:
        return "Loaded"
    if assessment.stopped:
        return "Standby"
    if assessment.problem is not None:
        return "FailedToLoad"
    return "Loading" if assessment.stage in {"Downloading", "Starting"} else "Pending"


def _transition(inputs: StatusInputs, assessment: Assessment) -> str:
    if inputs.error is not None:
        invalid = inputs.error.reason == "InvalidSpec"
        return "InvalidSpec" if invalid else "BlockedByFailedLoad"
    if assessment.ready_latest or assessment.stopped:
        return "UpToDate" if assessment.complete or assessment.stopped else "InProgress"
    return "BlockedByFailedLoad" if assessment.problem is not None else "InProgress"


def _failure(inputs: StatusInputs, assessment: Assessment, problem: Problem) -> Manifest:
    """Build KServe's FailureInfo; `time` is when this failure was first seen."""
    info: Manifest = {"reason": problem.reason, "message": problem.message}
    if problem.exit_code is not None:
        info["exitCode"] = problem.exit_code
    if problem.message.startswith("pod "):
        info["location"] = problem.message.split(":", 1)[0].removeprefix("pod ")
    if assessment.latest:
        info["modelRevisionName"] = assessment.latest
    before = dict((inputs.previous.get("modelStatus") or {}).get("lastFailureInfo") or {})
    time = before.pop("time", inputs.now)
    info["time"] = time if before == info else inputs.now
    return info
