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
from inference_operator.desired.autoscaler import build_autoscaler
from inference_operator.desired.deployment import build_deployment
from inference_operator.desired.disruption import build_disruption_budget
from inference_operator.desired.pod import build_pod_template
from inference_operator.desired.revision import RecordedRevision, choose_revision
from inference_operator.desired.service import build_service
from inference_operator.objects import Manifest


@dataclass(frozen=True)
class Desired:
    """The children that should exist, their revision and its image."""

    revision: str
    image: str
    children: tuple[Manifest, ...]


def build_desired(
    service: InferenceService, config: Config, recorded: RecordedRevision | None = None
) -> Desired:
    """Build all children of `service`.

    With `recorded`, a service keeps the default image that it started with: a newer operator has a
    newer default image, which the service gets when its own spec changes.
    """
    digest, image = choose_revision(service, config, recorded or RecordedRevision())
    template = build_pod_template(service, config, image)
    template["metadata"]["labels"][names.LABEL_REVISION] = digest
    built = (
        build_deployment(service, template),
        build_service(service),
        build_autoscaler(service),
        build_disruption_budget(service),
    )
    children = tuple(_with_owner(child, service) for child in built if child is not None)
    return Desired(names.revision(service.name, digest), image, children)


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
    return {**head, "spec": manifest["spec"]}
