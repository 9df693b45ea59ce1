"""From the body of an InferenceService to a frozen, typed description of what is wanted.

The only reader of raw resource bodies. It checks again what the schema of the resource checks,
because an older schema may be installed, and it refuses every field that it does not use: a field
that is silently ignored is worse than one that is missing. It decides nothing about manifests.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from inference_operator.api import kserve
from inference_operator.api.golden import parse_golden
from inference_operator.api.metadata import inherited_annotations, inherited_labels
from inference_operator.api.reader import Reader
from inference_operator.api.rollout import parse_rollout
from inference_operator.api.types import (
    Exposure,
    Format,
    InferenceService,
    Limits,
    Model,
    Pod,
    Scaling,
    Source,
    SourceKind,
)
from inference_operator.errors import SpecError
from inference_operator.objects import Json

_NAME = re.compile(r"[a-z]([-a-z0-9]{0,51}[a-z0-9])?")
_REMOTE = re.compile(r"(https?|s3|gs|oci)://.", re.DOTALL)
_CLAIM = re.compile(r"pvc://([a-z0-9](?:[-a-z0-9.]*[a-z0-9])?)(?:/(.*))?")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_MOST_REPLICAS = 1000
RESERVED_ENVIRONMENT = frozenset(
    {
        "MODEL_SERVER_MODEL",
        "MODEL_SERVER_NAME",
        "MODEL_SERVER_FORMAT",
        "MODEL_SERVER_PORT",
        "MODEL_SERVER_GOLDEN",
    }
)
METRIC_TYPES = ("Resource", "ContainerResource", "Pods", "Object", "External")

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


FORMATS = {
    "tflite": Format.TFLITE,
    "savedmodel": Format.SAVEDMODEL,
    "tensorflow": Format.SAVEDMODEL,
    "keras": Format.KERAS,
}


def parse(body: Json) -> InferenceService:
    """Read the body of an InferenceService as the API server gives it.

    Raises:
        SpecError: a field is wrong or not supported; the message names it.
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
    spec = Reader(body.get("spec") or {}, "spec")
    spec.refuse("transformer", "explainer", advice="remove it")
    predictor = spec.child("predictor")
    parsed = InferenceService(
        name=name,
        namespace=str(metadata.get("namespace", "default")),
        uid=str(metadata.get("uid", "")),
        generation=int(metadata.get("generation", 0)),
        model=_parse_model(predictor),
        scaling=_parse_scaling(predictor),
        limits=_parse_limits(predictor),
        pod=_parse_pod(predictor),
        golden=parse_golden(predictor),
        rollout=parse_rollout(predictor, metadata.get("annotations") or {}),
        exposure=_parse_exposure(spec.child("service")),
        labels=inherited_labels(metadata),
        annotations=inherited_annotations(metadata),
    )
    predictor.finish()
    spec.finish()
    return parsed


def _parse_model(predictor: Reader) -> Model:
    if predictor.has("model") and predictor.has("tensorflow"):
        raise SpecError(predictor.path("model"), "remove tensorflow, which describes it too")
    short_form = predictor.child("tensorflow")
    model = predictor.child("model")
    if predictor.has("tensorflow"):
        model, kind = short_form, Format.SAVEDMODEL
    else:
        kind = _parse_format(model)
    source = _parse_source(model)
    model.choice("protocolVersion", ("v1", "v2"))
    resources = model.child("resources")
    parsed = Model(
        source=source,
        format=kind,
        image=model.text("image", lambda image: not re.search(r"\s", image), "has a blank in it"),
        image_pull_policy=model.choice("imagePullPolicy", ("Always", "IfNotPresent", "Never"))
        or "IfNotPresent",
        requests=resources.quantities("requests"),
        limits=resources.quantities("limits"),
        env=_parse_environment(model),
        env_from=model.objects("envFrom"),
    )
    resources.finish()
    model.finish()
    return parsed


def _parse_format(model: Reader) -> Format:
    described = model.child("modelFormat")
    name = described.choice(
        "name", FORMATS, "use tflite, savedmodel (tensorflow is the same) or keras"
    )
    described.choice("version", ("1", "2", "3"))
    described.finish()
    if model.has("modelFormat") and not name:
        raise SpecError(described.path("name"), "is missing: use tflite, savedmodel or keras")
    return FORMATS[name] if name else Format.UNKNOWN


def _parse_source(model: Reader) -> Source:
    uri = model.text("storageUri") or "bundled://detector"
    where = model.path("storageUri")
    sha256 = model.text(
        "sha256", lambda text: bool(_SHA256.fullmatch(text)), "is not 64 hexadecimal digits"
    )
    files = _parse_digests(model)
    if _REMOTE.match(uri):
        return Source(SourceKind.REMOTE, uri, sha256=sha256, files=files)
    for key in ("sha256", "fileSha256"):
        if model.has(key):
            raise SpecError(
                model.path(key), f"checks what is downloaded, and {uri!r} is not: remove it"
            )
    if uri in {"bundled://detector", "bundled://classifier"}:
        return Source(SourceKind.BUNDLED, uri)
    if uri.startswith("bundled://"):
        raise SpecError(where, f"{uri!r}: the image brings bundled://detector and //classifier")
    claim = _CLAIM.fullmatch(uri)
    if claim is None:
        raise SpecError(
            where,
            f"{uri!r} must start with https://, http://, s3://, gs://, oci:// or bundled://, or "
            "be pvc://CLAIM/PATH",
        )
    path = (claim[2] or "").strip("/")
    if ".." in path.split("/"):
        raise SpecError(where, f"{uri!r}: the path in the volume must not have '..'")
    return Source(SourceKind.VOLUME, uri, claim=claim[1], path=path)


def _parse_digests(model: Reader) -> Mapping[str, str]:
    digests = model.texts("fileSha256")
    for path, digest in digests.items():
        if not path or path.startswith("/") or ".." in path.split("/"):
            raise SpecError(
                model.path("fileSha256"), f"{path!r} is not the path of a file in the model"
            )
        if not _SHA256.fullmatch(digest):
            raise SpecError(model.path("fileSha256"), f"{path}: is not 64 hexadecimal digits")
    return digests


def _parse_environment(model: Reader) -> tuple[Json, ...]:
    entries = model.objects("env")
    seen: set[str] = set()
    for index, entry in enumerate(entries):
        one = Reader(entry, f"{model.path('env')}[{index}]")
        name = one.text("name")
        if not name or name in seen:
            raise SpecError(one.path("name"), f"{name!r} is empty or given twice")
        if name in RESERVED_ENVIRONMENT:
            raise SpecError(
                one.path("name"),
                f"{name} is set by the operator: use storageUri, metadata.name or modelFormat",
            )
        one.text("value")
        one.mapping("valueFrom")
        one.finish()
        seen.add(name)
    return entries


def _parse_scaling(predictor: Reader) -> Scaling:
    least = predictor.number("minReplicas", 0, _MOST_REPLICAS)
    least = 1 if least is None else least
    most = predictor.number("maxReplicas", 0, _MOST_REPLICAS)
    _check_replicas(predictor, least, most)
    automatic = predictor.child("autoScaling")
    metrics = _parse_metrics(automatic)
    simple = [predictor.has(k) for k in ("scaleMetric", "scaleTarget", "scaleMetricType")]
    if metrics and any(simple):
        raise SpecError(
            automatic.path("metrics"),
            "replaces scaleMetric, scaleTarget and scaleMetricType: remove one or the other",
        )
    target = predictor.number("scaleTarget", 1, 2**31 - 1)
    kind = predictor.choice("scaleMetricType", ("Utilization", "AverageValue"))
    if kind and target is None:
        raise SpecError(predictor.path("scaleMetricType"), "says how to read scaleTarget: set it")
    behavior = automatic.mapping("behavior")
    automatic.finish()
    return Scaling(
        min_replicas=least,
        max_replicas=most or least,
        metric=predictor.choice(
            "scaleMetric", ("cpu", "memory"), "use cpu or memory, or autoScaling.metrics"
        )
        or "cpu",
        target=80 if target is None else target,
        target_type=kind or "Utilization",
        metrics=metrics,
        behavior=behavior,
        asked=bool(metrics or behavior or any(simple)),
    )


def _check_replicas(predictor: Reader, least: int, most: int | None) -> None:
    if most and most < least:
        raise SpecError(
            predictor.path("maxReplicas"),
            f"{most} is smaller than minReplicas {least}: raise it, or lower minReplicas",
        )
    if most and least == 0:
        raise SpecError(
            predictor.path("minReplicas"),
            "0 together with maxReplicas would need scaling from zero, which is not supported: "
            "set 1 or more, or remove maxReplicas to stop the service",
        )


def _parse_metrics(automatic: Reader) -> tuple[Json, ...]:
    metrics = automatic.objects("metrics")
    for index, metric in enumerate(metrics):
        if metric.get("type") not in METRIC_TYPES:
            raise SpecError(
                f"{automatic.path('metrics')}[{index}].type",
                f"{metric.get('type')!r} is not supported: use one of {', '.join(METRIC_TYPES)}",
            )
    return metrics


def _parse_limits(predictor: Reader) -> Limits:
    batcher = predictor.child("batcher")
    limits = Limits(
        concurrency=predictor.number("containerConcurrency", 0, 1000) or None,
        timeout_s=predictor.number("timeout", 1, 3600),
        max_batch_size=batcher.number("maxBatchSize", 1, 1024),
        max_latency_ms=batcher.number("maxLatency", 0, 10000),
    )
    batcher.finish()
    return limits


def _parse_pod(predictor: Reader) -> Pod:
    passed: dict[str, Any] = {key: predictor.text(key) for key in POD_TEXTS}
    passed |= {key: predictor.mapping(key) for key in POD_OBJECTS}
    passed |= {key: list(predictor.objects(key)) for key in POD_LISTS}
    passed["nodeSelector"] = predictor.texts("nodeSelector")
    strategy = predictor.child("deploymentStrategy")
    kind = strategy.choice("type", ("RollingUpdate", "Recreate"))
    rolling = strategy.child("rollingUpdate")
    if kind == "Recreate" and strategy.has("rollingUpdate"):
        raise SpecError(rolling.path("type"), "Recreate takes no rollingUpdate: remove it")
    return Pod(
        fields={key: value for key, value in passed.items() if value},
        security_context=predictor.mapping("securityContext"),
        labels=_own_prefix(predictor),
        annotations=predictor.texts("annotations"),
        grace_period_s=predictor.number("terminationGracePeriodSeconds", 1, 3600),
        automount_token=predictor.flag("automountServiceAccountToken") or False,
        strategy=_parse_strategy(strategy, kind, rolling),
    )


def _parse_strategy(strategy: Reader, kind: str, rolling: Reader) -> Json:
    """A DeploymentStrategy; empty when none is given."""
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


def _own_prefix(predictor: Reader) -> Mapping[str, str]:
    labels = predictor.texts("labels")
    for key in labels:
        if key.startswith(("inference-operator.dev/", "app.kubernetes.io/")):
            raise SpecError(
                predictor.path("labels"), f"{key} is set by the operator: use another prefix"
            )
    return labels


def _parse_exposure(service: Reader) -> Exposure:
    exposure = Exposure(
        type=service.choice("type", ("ClusterIP", "NodePort", "LoadBalancer")) or "ClusterIP",
        annotations=service.texts("annotations"),
    )
    service.finish()
    return exposure
