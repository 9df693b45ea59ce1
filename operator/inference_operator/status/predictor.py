"""`status.components.predictor`: revisions, image and traffic. Pure."""

from __future__ import annotations

from inference_operator import names
from inference_operator.objects import Manifest
from inference_operator.rollout.records import last_rolled_out, previously_rolled_out
from inference_operator.rollout.types import Plan
from inference_operator.status.assessment import Assessment, StatusInputs

_KEPT = ("latestReadyRevision", "latestRolledoutRevision", "previousRolledoutRevision", "image")


def build_predictor(inputs: StatusInputs, assessment: Assessment, address: str) -> Manifest:
    """Build the predictor component; unchanged values are kept from the previous status."""
    before = inputs.previous_predictor
    predictor: Manifest = {key: before[key] for key in _KEPT if key in before}
    if assessment.latest:
        predictor["latestCreatedRevision"] = assessment.latest
    if inputs.desired is not None:
        predictor["image"] = inputs.desired.image
    if assessment.ready_latest:
        predictor["latestReadyRevision"] = assessment.latest
    if inputs.plan is not None:
        predictor |= _rolled_out(inputs, inputs.plan)
    if assessment.serves:
        predictor["url"] = address
        predictor["traffic"] = build_traffic(inputs, assessment)
    return predictor


def _rolled_out(inputs: StatusInputs, plan: Plan) -> Manifest:
    """Return the rolled-out and ready revisions according to the revision records."""
    name = inputs.body["metadata"]["name"]
    last, before = last_rolled_out(plan.revisions), previously_rolled_out(plan.revisions)
    found: Manifest = {}
    if last is not None:
        found["latestRolledoutRevision"] = names.revision(name, last.digest)
        if plan.refusal is not None:
            found["latestReadyRevision"] = names.revision(name, last.digest)
    if before is not None:
        found["previousRolledoutRevision"] = names.revision(name, before.digest)
    return found


def build_traffic(inputs: StatusInputs, assessment: Assessment) -> list[Manifest]:
    """Return each revision's percentage of the ready pods, which share the traffic equally."""
    name = inputs.body["metadata"]["name"]
    revisions = inputs.plan.revisions if inputs.plan else ()
    digests = {names.revision(name, r.digest): r.model_digest for r in revisions if r.model_digest}
    counts: dict[str, int] = {}
    for pod in assessment.ready:
        revision = inputs.revision_of(pod)
        counts[revision] = counts.get(revision, 0) + 1
    if assessment.ready_latest:
        # List a canary even if it has no share of the traffic.
        counts.setdefault(assessment.latest, 0)
    latest = assessment.latest if assessment.ready_latest else assessment.serving
    ordered = sorted(counts, key=lambda revision: (revision != latest, revision))
    total, assigned = len(assessment.ready), 0
    traffic: list[Manifest] = []
    for revision in reversed(ordered):
        share = counts[revision] * 100 // total
        # The latest revision gets the rounding remainder, so that the sum is 100.
        percent = 100 - assigned if revision == latest else share
        assigned += share
        target: Manifest = {"revisionName": revision, "percent": percent}
        target |= {"latestRevision": True} if revision == latest else {"tag": "prev"}
        if revision in digests:
            target["modelDigest"] = digests[revision]
        traffic.insert(0, target)
    return traffic
