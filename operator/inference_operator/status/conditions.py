"""The conditions of an InferenceService. Pure.

A condition states what is true now, never which step comes next. `Ready` says whether the service
answers requests, `LatestDeploymentReady` whether the latest revision does. While an earlier
revision serves and the latest does not, `Ready` stays True, gives the cause in `reason` and
`message`, and keeps the `observedGeneration` of the spec being served, so that `kubectl wait` waits
for the latest one.

`Reconciling` and `Stalled` follow kstatus, which Flux, Helm and `kubectl` tooling read: each is
present only while it is True. Without them, a rollout that fails behind a ready service would look
complete (https://github.com/kubernetes-sigs/cli-utils/blob/master/pkg/kstatus/README.md).
"""

from __future__ import annotations

from inference_operator.errors import StuckError
from inference_operator.objects import Manifest, find_condition
from inference_operator.rollout.types import Phase
from inference_operator.status.assessment import Assessment, StatusInputs, Trial

_STAGE_MESSAGES = {
    "Stopped": "minReplicas is 0: increase it to serve again",
    "Pending": "waiting for a pod to be scheduled",
    "Downloading": "the model is being downloaded",
    "Starting": "the model server is starting and loading the model",
    "Ready": "the pods are ready, but the Service does not lead to them yet",
}
# Reasons for the REASON column where the stage's own name does not fit.
_STAGE_REASONS = {"Ready": "NoEndpoints"}
# Kubernetes may resolve these at any time, so they do not mean that the rollout is stalled.
_MAY_PASS = {"Unschedulable", "NodeNotReady", "ReadinessProbeFailed", "ReadinessGatesNotReady"}


def build_conditions(inputs: StatusInputs, assessment: Assessment) -> list[Manifest]:
    """Build all conditions, starting with the one that most readers look at."""
    ready = _ready(assessment)
    if assessment.serves:
        served = bool(assessment.ready_latest) and (
            assessment.settled
            or assessment.complete
            or not _earlier_revision_ready(inputs, assessment)
        )
        if inputs.error is not None or not served:
            earlier = max(inputs.generation - 1, 0)
            before = find_condition(inputs.previous, "Ready").get("observedGeneration") or earlier
            # This generation served for a while (a canary that answered) but no longer does.
            ready["observedGeneration"] = before if served else min(before, earlier)
    conditions = [
        ready,
        {**ready, "type": "PredictorReady"},
        _latest(assessment),
        *_progress(inputs, assessment),
        *_model_changed(inputs),
    ]
    return [_stamp(condition, inputs) for condition in conditions]


def _earlier_revision_ready(inputs: StatusInputs, assessment: Assessment) -> bool:
    return any(inputs.revision_of(pod) != assessment.latest for pod in assessment.ready)


def _ready(assessment: Assessment) -> Manifest:
    """Build `Ready`: whether the service answers requests, and any remark about it."""
    condition: Manifest = {"type": "Ready", "status": "True" if assessment.serves else "False"}
    problem = assessment.problem
    if not assessment.serves:
        condition |= _what_is_wrong(assessment)
    elif problem is not None:
        condition["reason"] = problem.reason
        condition["message"] = f"{_who_serves(assessment)}; {problem.message}"
    elif assessment.trial is not None and _in_words(assessment.trial):
        condition["reason"] = _in_words(assessment.trial)
        condition["message"] = _split(assessment, assessment.trial)
    elif assessment.serving:
        condition["reason"] = "RollingOut"
        detail = _STAGE_MESSAGES[assessment.stage]
        condition["message"] = f"{_who_serves(assessment)}; {assessment.latest}: {detail}"
    else:
        condition["message"] = _who_serves(assessment)
    return condition


def _what_is_wrong(assessment: Assessment) -> Manifest:
    """Build the reason and message while something is wrong or not ready yet."""
    problem = assessment.problem
    if problem is not None:
        return {"reason": problem.reason, "message": problem.message}
    stage = assessment.stage
    return {"reason": _STAGE_REASONS.get(stage, stage), "message": _STAGE_MESSAGES[stage]}


def _in_words(trial: Trial) -> str:
    """Return the reason for a rollout that is paused or at a canary stage, else an empty string."""
    if trial.paused:
        return "Paused"
    return "Canary" if trial.phase is Phase.CANARY else ""


def _split(assessment: Assessment, trial: Trial) -> str:
    share = f"{trial.weight} percent of the requests" if trial.phase is Phase.CANARY else "pods"
    halted = "; the rollout is paused: remove rollout.paused to go on" if trial.paused else ""
    return (
        f"{assessment.pods} pods are ready; {assessment.latest} is to take {share}, "
        f"{trial.stable} keeps the rest{halted}"
    )


def _who_serves(assessment: Assessment) -> str:
    trial = assessment.trial
    if trial is not None and trial.refusal is not None:
        return f"revision {trial.stable} keeps serving, {assessment.latest} was rolled back"
    if assessment.serving:
        return f"revision {assessment.serving} keeps serving"
    return f"{assessment.pods} pods are ready"


def _latest(assessment: Assessment) -> Manifest:
    """Build `LatestDeploymentReady`: whether the latest revision is ready."""
    condition: Manifest = {"type": "LatestDeploymentReady"}
    problem, trial = assessment.problem, assessment.trial
    if trial is not None and trial.refusal is not None:
        refusal = trial.refusal
        condition |= {"status": "False", "reason": "RolledBack"}
        condition["message"] = f"{assessment.latest}: {refusal.reason}: {refusal.message}"
    elif problem is not None:
        good = assessment.ready_latest > 0 and problem.rank > 0
        condition["status"] = "True" if good else "False"
        condition |= {"reason": problem.reason, "message": problem.message}
    elif assessment.ready_latest:
        condition["status"] = "True"
    else:
        condition["status"] = "False" if assessment.stopped else "Unknown"
        condition |= _what_is_wrong(assessment)
    return condition


def _progress(inputs: StatusInputs, assessment: Assessment) -> list[Manifest]:
    """Build `Stalled` if only an outside change helps, `Reconciling` while work is in progress."""
    problem = assessment.problem
    if inputs.error is None and problem is None and (assessment.stopped or assessment.settled):
        return []
    stalled = problem is not None and problem.reason not in _MAY_PASS
    if inputs.error is not None:
        stalled = not isinstance(inputs.error, StuckError)
    details = _what_is_wrong(assessment)
    if problem is None and assessment.ready_latest:
        details = {"reason": "RollingOut", "message": _who_serves(assessment)}
    return [{"type": "Stalled" if stalled else "Reconciling", "status": "True", **details}]


def _model_changed(inputs: StatusInputs) -> list[Manifest]:
    """Build `ModelChanged` while pods of one revision loaded different bytes from one address."""
    recorded = {
        one.digest: one.model_digest for one in (inputs.plan.revisions if inputs.plan else ())
    }
    for pod in inputs.observed.pods:
        first = recorded.get(pod.revision, "")
        if first and pod.model_digest and pod.model_digest != first:
            message = (
                f"pod {pod.name} loaded {pod.model_digest}, revision {inputs.revision_of(pod)} "
                f"first loaded {first}: set spec.predictor.model.sha256, or a storageUri whose "
                "content never changes"
            )
            return [
                {
                    "type": "ModelChanged",
                    "status": "True",
                    "reason": "DigestChanged",
                    "message": message,
                }
            ]
    return []


def _stamp(condition: Manifest, inputs: StatusInputs) -> Manifest:
    """Add the generation that the condition is about and the time its status last changed."""
    condition.setdefault("observedGeneration", inputs.generation)
    before = find_condition(inputs.previous, condition["type"])
    same = before.get("status") == condition["status"]
    condition["lastTransitionTime"] = (
        before["lastTransitionTime"] if same and "lastTransitionTime" in before else inputs.now
    )
    return condition
