"""The conditions of an InferenceService. Pure.

A condition says what is true now, never which step comes next. `Ready` is about the service: does
it answer requests? `LatestDeploymentReady` is about the latest revision. While an earlier revision
serves and the latest does not, `Ready` stays True, gives the cause in `reason` and `message`, and
keeps the `observedGeneration` of the spec that is being served, so that `kubectl wait` waits for
the latest one.
"""

from __future__ import annotations

from inference_operator.objects import Manifest, find_condition
from inference_operator.status.assessment import Assessment, StatusInputs

_STAGE_MESSAGES = {
    "Stopped": "minReplicas is 0: raise it to serve again",
    "Pending": "waiting for a pod to be scheduled",
    "Downloading": "the model is being downloaded",
    "Starting": "the model server is starting and loads the model",
}


def build_conditions(inputs: StatusInputs, assessment: Assessment) -> list[Manifest]:
    """`Ready`, `PredictorReady` and `LatestDeploymentReady`."""
    ready = _ready(assessment)
    if assessment.serves:
        served = bool(assessment.ready_latest) and (
            assessment.complete or not _earlier_revision_ready(inputs, assessment)
        )
        if inputs.error is not None or not served:
            before = find_condition(inputs.previous, "Ready").get("observedGeneration")
            ready["observedGeneration"] = before or max(inputs.generation - 1, 0)
    conditions = [ready, {**ready, "type": "PredictorReady"}, _latest(assessment)]
    return [_stamp(condition, inputs) for condition in conditions]


def _earlier_revision_ready(inputs: StatusInputs, assessment: Assessment) -> bool:
    return any(inputs.revision_of(pod) != assessment.latest for pod in assessment.ready)


def _ready(assessment: Assessment) -> Manifest:
    """Does the service answer requests, and is there anything to say about it?"""
    condition: Manifest = {"type": "Ready", "status": "True" if assessment.serves else "False"}
    problem = assessment.problem
    if not assessment.serves:
        condition["reason"] = problem.reason if problem else assessment.stage
        condition["message"] = problem.message if problem else _STAGE_MESSAGES[assessment.stage]
    elif problem is not None:
        condition["reason"] = problem.reason
        condition["message"] = f"{_who_serves(assessment)}; {problem.message}"
    elif assessment.serving:
        condition["reason"] = "RollingOut"
        detail = _STAGE_MESSAGES[assessment.stage]
        condition["message"] = f"{_who_serves(assessment)}; {assessment.latest}: {detail}"
    return condition


def _who_serves(assessment: Assessment) -> str:
    if assessment.serving:
        return f"revision {assessment.serving} keeps serving"
    ready = len(assessment.ready)
    return f"{ready} of {max(assessment.desired_replicas, ready)} pods are ready"


def _latest(assessment: Assessment) -> Manifest:
    """Is the latest revision ready?"""
    condition: Manifest = {"type": "LatestDeploymentReady"}
    problem = assessment.problem
    if problem is not None:
        good = assessment.ready_latest > 0 and problem.rank > 0
        condition["status"] = "True" if good else "False"
        condition |= {"reason": problem.reason, "message": problem.message}
    elif assessment.ready_latest:
        condition["status"] = "True"
    else:
        condition["status"] = "False" if assessment.stopped else "Unknown"
        condition["reason"] = assessment.stage
        condition["message"] = _STAGE_MESSAGES[assessment.stage]
    return condition


def _stamp(condition: Manifest, inputs: StatusInputs) -> Manifest:
    """Add the generation it is about and the time its status last changed."""
    condition.setdefault("observedGeneration", inputs.generation)
    before = find_condition(inputs.previous, condition["type"])
    same = before.get("status") == condition["status"]
    condition["lastTransitionTime"] = (
        before["lastTransitionTime"] if same and "lastTransitionTime" in before else inputs.now
    )
    return condition
