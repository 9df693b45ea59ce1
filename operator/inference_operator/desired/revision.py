"""The revision that a spec asks for: its name, its pod template, the image it runs.

A revision is named after a digest of its pod template, so the name changes exactly when the pods
would. The template must not depend on the operator's version, or upgrading the operator would
restart every pod. Pure.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass

from inference_operator import names
from inference_operator.api.types import InferenceService
from inference_operator.config import Config
from inference_operator.desired.pod import build_pod_template
from inference_operator.errors import SpecError
from inference_operator.objects import Manifest
from inference_operator.rollout.records import Revision, pack
from inference_operator.rollout.settings import names_revision
from inference_operator.rollout.types import Candidate

_ANY_IMAGE = "inference-operator.dev/any"


@dataclass(frozen=True)
class RecordedRevision:
    """The latest revision and its image according to the status."""

    revision: str = ""
    image: str = ""


def build_candidate(
    service: InferenceService,
    config: Config,
    recorded: RecordedRevision,
    known: Sequence[Revision] = (),
) -> Candidate:
    """The revision that `service` asks for.

    `known` revisions keep the template, and with it the default image, that they were recorded
    with. `recorded` does that for one whose record was lost.

    Raises:
        SpecError: `rollout.pinnedRevision` names none that is known.
    """
    if service.rollout.pinned:
        return _pinned(service, known)
    digest, image = choose_revision(service, config, recorded)
    template = build_pod_template(service, config, image)
    template["metadata"]["labels"][names.LABEL_REVISION] = digest
    return Candidate(digest, pack(template), attempt_of(service))


def _pinned(service: InferenceService, known: Sequence[Revision]) -> Candidate:
    pinned = service.rollout.pinned
    for one in known:
        if names_revision(pinned, one.digest):
            return Candidate(one.digest, one.packed, attempt_of(service))
    there = ", ".join(names.revision(service.name, one.digest) for one in known) or "none yet"
    raise SpecError(
        "spec.predictor.rollout.pinnedRevision", f"{pinned!r} is not in the history: {there}"
    )


def attempt_of(service: InferenceService) -> str:
    """Digest of the settings under which a refused revision stays refused.

    Scaling is not among them: an autoscaler that writes the number of replicas would try a bad
    revision again and again.
    """
    rollout = service.rollout
    settings = [
        rollout.percent,
        [[step.percent, step.pause_s] for step in rollout.steps],
        rollout.rollback.value,
        rollout.deadline_s,
        rollout.retry,
    ]
    return hashlib.sha256(json.dumps(settings).encode()).hexdigest()[:8]


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
