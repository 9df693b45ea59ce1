"""Every object that an InferenceService wants, as plain dicts: one list, built from nothing else.

What is in the list is created or repaired, what is not in it is deleted, so building and removing
an object share their code. Builders are pure: no input or output, no clock, no logger, and they
never change what they are given. A pod template must not depend on the operator's version, or an
upgrade of the operator would restart every pod (golden tests hold this).
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any

from inference_operator import names
from inference_operator.config import Config
from inference_operator.manifests.autoscaler import build_autoscaler
from inference_operator.manifests.deployment import build_deployment
from inference_operator.manifests.disruption import build_disruption_budget
from inference_operator.manifests.pod import build_pod_template
from inference_operator.manifests.service import build_service
from inference_operator.wanted import InferenceService

Manifest = dict[str, Any]
_ANY_IMAGE = "inference-operator.dev/any"


@dataclass(frozen=True)
class Running:
    """What runs now, as the status remembers it: the latest revision and its image."""

    revision: str = ""
    image: str = ""


@dataclass(frozen=True)
class Desired:
    """All that should exist, and the name of the revision it is."""

    revision: str
    image: str
    children: tuple[Manifest, ...]


def desired(service: InferenceService, config: Config, running: Running | None = None) -> Desired:
    """Compute every child of `service`.

    `running` lets a service keep the default image it started with: a newer operator brings a
    newer default, and only a change of the service itself moves it there.
    """
    digest, image = choose_revision(service, config, running or Running())
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


def choose_revision(service: InferenceService, config: Config, running: Running) -> tuple[str, str]:
    """Digest of the revision and the image it runs."""
    default = (
        config.model_server_tensorflow_image
        if service.model.format.needs_tensorflow
        else config.model_server_image
    )
    if config.follow_default_image:
        image = service.model.image or default
        return digest_of(build_pod_template(service, config, image)), image
    # The default image is left out of the digest, so the digest says whether the service changed.
    digest = digest_of(build_pod_template(service, config, service.model.image or _ANY_IMAGE))
    unchanged = running.revision == names.revision(service.name, digest)
    kept = running.image if unchanged else ""
    return digest, service.model.image or kept or default


def digest_of(manifest: Manifest) -> str:
    """Eight hexadecimal digits that change whenever the manifest does."""
    text = json.dumps(manifest, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:8]


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
