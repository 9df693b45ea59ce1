"""The name of a revision and the image it runs.

A revision is named after a digest of its pod template, so the name changes exactly when the pods
would. The template must not depend on the operator's version, or upgrading the operator would
restart every pod. Pure.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass

from inference_operator import names
from inference_operator.api.types import InferenceService
from inference_operator.config import Config
from inference_operator.desired.pod import build_pod_template
from inference_operator.objects import Manifest

_ANY_IMAGE = "inference-operator.dev/any"


@dataclass(frozen=True)
class RecordedRevision:
    """The latest revision and its image according to the status."""

    revision: str = ""
    image: str = ""


def choose_revision(
    service: InferenceService, config: Config, recorded: RecordedRevision
) -> tuple[str, str]:
    """Digest and image of the revision of `service`."""
    default = (
        config.model_server_tensorflow_image
        if service.model.format.needs_tensorflow
        else config.model_server_image
    )
    if config.follow_default_image:
        image = service.model.image or default
        return digest_of(build_pod_template(service, config, image)), image
    # Without the default image, the digest only changes when the service does.
    digest = digest_of(build_pod_template(service, config, service.model.image or _ANY_IMAGE))
    unchanged = recorded.revision == names.revision(service.name, digest)
    kept = recorded.image if unchanged else ""
    return digest, service.model.image or kept or default


def digest_of(manifest: Manifest) -> str:
    """A digest of 8 hexadecimal digits."""
    text = json.dumps(manifest, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:8]
