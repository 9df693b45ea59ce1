"""Every object that an InferenceService wants, as plain dicts: one list, built from nothing else.

What is in the list is created or repaired, what is not in it is deleted, so building and removing
an object share their code. Builders are pure: no input or output, no clock, no logger, and they
never change what they are given. A pod template must not depend on the operator's version, or an
upgrade of the operator would restart every pod (golden tests hold this).
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
    """All that should exist, and the name of the revision it is."""

    revision: str
    image: str
    children: tuple[Manifest, ...]


def build_desired(
    service: InferenceService, config: Config, recorded: RecordedRevision | None = None
) -> Desired:
    """Compute every child of `service`.

    `recorded` lets a service keep the default image it started with: a newer operator brings a
    newer default, and only a change of the service itself moves it there.
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
    """The manifest with its names, labels and owner; deletion then needs no operator."""
    metadata: Manifest = {
        "name": names.predictor(service.name),
        "namespace": service.namespace,
        "labels": names.labels(service.name),
        **manifest.get("metadata", {}),
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
