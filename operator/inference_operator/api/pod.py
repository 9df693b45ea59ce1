"""Parses the fields of `spec.predictor` that are passed to the pods and their Deployment. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from inference_operator.api.reader import Reader
from inference_operator.api.types import Pod
from inference_operator.errors import SpecError
from inference_operator.objects import Json

POD_TEXTS = (
    "priorityClassName",
    "preemptionPolicy",
    "runtimeClassName",
    "schedulerName",
    "serviceAccountName",
    "dnsPolicy",
)
POD_OBJECTS = ("affinity", "dnsConfig")
POD_LISTS = ("tolerations", "topologySpreadConstraints", "imagePullSecrets", "hostAliases")


def parse_pod(predictor: Reader) -> Pod:
    """The fields of the pod, and the strategy of the Deployment.

    Raises:
        SpecError: A field is wrong or not supported; the message names it.
    """
    passed: dict[str, Any] = {key: predictor.text(key) for key in POD_TEXTS}
    passed |= {key: predictor.mapping(key) for key in POD_OBJECTS}
    passed |= {key: list(predictor.objects(key)) for key in POD_LISTS}
    passed["nodeSelector"] = predictor.texts("nodeSelector")
    strategy = predictor.child("deploymentStrategy")
    kind = strategy.choice("type", ("RollingUpdate", "Recreate"))
    rolling = strategy.child("rollingUpdate")
    if kind == "Recreate" and strategy.has("rollingUpdate"):
        raise SpecError(rolling.path("type"), "Recreate does not use rollingUpdate: remove it")
    return Pod(
        fields={key: value for key, value in passed.items() if value},
        security_context=predictor.mapping("securityContext"),
        labels=_parse_labels(predictor),
        annotations=predictor.texts("annotations"),
        grace_period_s=predictor.number("terminationGracePeriodSeconds", 1, 3600),
        automount_token=predictor.flag("automountServiceAccountToken") or False,
        strategy=_parse_strategy(strategy, kind, rolling),
    )


def _parse_strategy(strategy: Reader, kind: str, rolling: Reader) -> Json:
    """A DeploymentStrategy, empty if none is given."""
    bounds: dict[str, Any] = {}
    for key in ("maxSurge", "maxUnavailable"):
        value = strategy.mapping("rollingUpdate").get(key)
        if value is None:
            continue
        if not re.fullmatch(r"\d{1,4}%?", str(value)):
            raise SpecError(rolling.path(key), f"{value!r} is neither a number nor a percentage")
        bounds[key] = value
    for key in strategy.mapping("rollingUpdate"):
        if key not in ("maxSurge", "maxUnavailable"):
            raise SpecError(rolling.path(key), "is not a field of this resource: remove it")
    strategy.finish()
    if not kind and not bounds:
        return {}
    return {"type": kind or "RollingUpdate"} | ({"rollingUpdate": bounds} if bounds else {})


def _parse_labels(predictor: Reader) -> Mapping[str, str]:
    labels = predictor.texts("labels")
    for key in labels:
        if key.startswith(("inference-operator.dev/", "app.kubernetes.io/")):
            raise SpecError(
                predictor.path("labels"), f"{key} is set by the operator: use another prefix"
            )
    return labels
