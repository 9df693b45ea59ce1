"""`status.components.predictor`: revisions, image and traffic. Pure."""

from __future__ import annotations

from inference_operator.objects import Manifest
from inference_operator.status.assessment import Assessment, StatusInputs

_KEPT = ("latestReadyRevision", "latestRolledoutRevision", "previousRolledoutRevision", "image")


def build_predictor(inputs: StatusInputs, assessment: Assessment, address: str) -> Manifest:
    """The predictor component; what did not change is kept from the previous status."""
    before = inputs.previous_predictor
    predictor: Manifest = {key: before[key] for key in _KEPT if key in before}
    if assessment.latest:
        predictor["latestCreatedRevision"] = assessment.latest
    if inputs.desired is not None:
        predictor["image"] = inputs.desired.image
    if assessment.ready_latest:
        predictor["latestReadyRevision"] = assessment.latest
    rolled_out = assessment.complete and assessment.ready_latest > 0 and inputs.error is None
    last = before.get("latestRolledoutRevision")
    if rolled_out and last != assessment.latest:
        predictor["latestRolledoutRevision"] = assessment.latest
        if last:
            predictor["previousRolledoutRevision"] = last
    if assessment.serves:
        predictor["url"] = address
        predictor["traffic"] = build_traffic(inputs, assessment)
    return predictor


def build_traffic(inputs: StatusInputs, assessment: Assessment) -> list[Manifest]:
    """Percentages of the ready pods by revision: each pod gets the same share of the traffic."""
    counts: dict[str, int] = {}
    for pod in assessment.ready:
        revision = inputs.revision_of(pod)
        counts[revision] = counts.get(revision, 0) + 1
    latest = assessment.latest if assessment.ready_latest else assessment.serving
    ordered = sorted(counts, key=lambda revision: (revision != latest, revision))
    total, assigned = len(assessment.ready), 0
    traffic: list[Manifest] = []
    for revision in reversed(ordered):
        share = counts[revision] * 100 // total
        # The latest revision gets the remainder of the rounding, so that the sum is 100.
        percent = 100 - assigned if revision == latest else share
        assigned += share
        target: Manifest = {"revisionName": revision, "percent": percent}
        target |= {"latestRevision": True} if revision == latest else {"tag": "prev"}
        traffic.insert(0, target)
    return traffic
