"""All manifests of an InferenceService, as one list.

What is in the list is created or repaired; a child that is not in it is deleted. So the same code
adds and removes an object. Builders are pure: no IO, no clock, no logger, and they never modify
their arguments.
"""

from __future__ import annotations

from dataclasses import dataclass

from inference_operator import names
from inference_operator.api.types import InferenceService
from inference_operator.config import Config
from inference_operator.desired.autoscaler import build_autoscaler, build_canary_autoscaler
from inference_operator.desired.deployment import build_canary_deployment, build_deployment
from inference_operator.desired.disruption import build_disruption_budget
from inference_operator.desired.revision import RecordedRevision, build_candidate
from inference_operator.desired.service import build_canary_service, build_service
from inference_operator.objects import Manifest
from inference_operator.rollout.plan import plan
from inference_operator.rollout.records import build_revision
from inference_operator.rollout.types import Plan, Scale, Seen


@dataclass(frozen=True)
class Desired:
    """All that should exist.

    Attributes:
        revision: Name of the revision that the spec asks for.
        image: Its model-server image.
        children: Manifests.
        plan: The state of the rollout.
    """

    revision: str
    image: str
    children: tuple[Manifest, ...]
    plan: Plan


def build_desired(
    service: InferenceService, config: Config, recorded: RecordedRevision | None = None
) -> Desired:
    """Compute every child of a service of which nothing exists yet.

    With `recorded`, a service keeps the default image that it started with: a newer operator has a
    newer default image, which the service gets when its own spec changes.
    """
    candidate = build_candidate(service, config, recorded or RecordedRevision())
    return build_children(
        service, plan(candidate, (), Seen(), service.rollout, scale_of(service), now=0)
    )


def scale_of(service: InferenceService) -> Scale:
    """How many replicas the spec asks for."""
    scaling = service.scaling
    return Scale(scaling.min_replicas, scaling.max_replicas, scaling.autoscaled)


def build_children(service: InferenceService, plan: Plan) -> Desired:
    """Compute every child of `service` at one point of its rollout."""
    built = [
        build_deployment(service, plan),
        build_service(service, shared=plan.shared),
        build_autoscaler(service, plan.minimum),
        build_disruption_budget(service),
        *(build_revision(service.name, one) for one in plan.revisions),
    ]
    if plan.canary:
        built += [build_canary_deployment(service, plan), build_canary_service(service)]
    if plan.canary and plan.canary_autoscaled:
        built.append(build_canary_autoscaler(service))
    newest = plan.revision(plan.newest)
    return Desired(
        names.revision(service.name, newest.digest),
        newest.image,
        tuple(_with_owner(child, service) for child in built if child is not None),
        plan,
    )


def _with_owner(manifest: Manifest, service: InferenceService) -> Manifest:
    """The manifest with name, labels and owner, so that Kubernetes deletes it with its owner."""
    own = manifest.get("metadata", {})
    annotations = {**service.annotations, **own.get("annotations", {})}
    metadata: Manifest = {
        "name": names.predictor(service.name),
        "namespace": service.namespace,
        "labels": {**service.labels, **names.labels(service.name)},
        **own,
        **({"annotations": annotations} if annotations else {}),
        "ownerReferences": [
            {
                "apiVersion": names.API_VERSION,
                "kind": names.KIND,
                "name": service.name,
                "uid": service.uid,
                "controller": True,
            }
        ],
    }
    head = {"apiVersion": manifest["apiVersion"], "kind": manifest["kind"], "metadata": metadata}
    return {**head, **{key: value for key, value in manifest.items() if key not in head}}
