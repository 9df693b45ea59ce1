"""Parses the body of an InferenceService into typed, immutable values.

The only reader of raw specs. It repeats the checks of the CRD's schema, because an older CRD may be
installed, and refuses every field that it does not use: a field that is ignored in silence is worse
than a missing one. Decides nothing about manifests.
"""

from __future__ import annotations

import re

from inference_operator.api import kserve
from inference_operator.api.golden import parse_golden
from inference_operator.api.metadata import (
    check_own_annotations,
    inherited_annotations,
    inherited_labels,
)
from inference_operator.api.model import parse_model
from inference_operator.api.pod import parse_pod
from inference_operator.api.reader import Reader
from inference_operator.api.rollout import parse_rollout
from inference_operator.api.scaling import parse_limits, parse_scaling
from inference_operator.api.types import Exposure, InferenceService
from inference_operator.errors import SpecError
from inference_operator.objects import Json

_NAME = re.compile(r"[a-z]([-a-z0-9]{0,51}[a-z0-9])?")


def parse(body: Json) -> InferenceService:
    """Parse the body of an InferenceService as the API server returns it.

    Raises:
        SpecError: A field is wrong or not supported; the message names it.
    """
    metadata = body.get("metadata") or {}
    name = str(metadata.get("name", ""))
    if not _NAME.fullmatch(name):
        raise SpecError(
            "metadata.name",
            f"{name!r} must be at most 53 characters of a-z, 0-9 and '-' and start with a letter: "
            "choose another name",
        )
    kserve.check(kserve.annotations_of(metadata))
    check_own_annotations(metadata)
    spec = Reader(body.get("spec") or {}, "spec")
    spec.refuse("transformer", "explainer", advice="remove it")
    predictor = spec.child("predictor")
    parsed = InferenceService(
        name=name,
        namespace=str(metadata.get("namespace", "default")),
        uid=str(metadata.get("uid", "")),
        generation=int(metadata.get("generation", 0)),
        model=parse_model(predictor),
        scaling=parse_scaling(predictor),
        limits=parse_limits(predictor),
        pod=parse_pod(predictor),
        golden=parse_golden(predictor),
        rollout=parse_rollout(predictor, metadata.get("annotations") or {}),
        exposure=_parse_exposure(spec.child("service")),
        labels=inherited_labels(metadata),
        annotations=inherited_annotations(metadata),
    )
    predictor.finish()
    spec.finish()
    return parsed


def _parse_exposure(service: Reader) -> Exposure:
    exposure = Exposure(
        type=service.choice("type", ("ClusterIP", "NodePort", "LoadBalancer")) or "ClusterIP",
        annotations=service.texts("annotations"),
    )
    service.finish()
    return exposure
