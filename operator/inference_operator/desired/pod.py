"""The pod template: a model server, preceded by a download if the model is remote.

It meets the `restricted` Pod Security Standard and has a read-only root file system. Fields that
the spec does not set are omitted, so that Kubernetes' defaults apply.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from inference_operator import names
from inference_operator.api.types import Golden, InferenceService, Model, SourceKind
from inference_operator.config import Config
from inference_operator.objects import Manifest

# A terminating pod keeps serving for this long, until every proxy has stopped using it.
PRE_STOP_SECONDS = 5
# Requests in progress get this long to finish, and at least the time-out of one request.
MINIMUM_DRAIN_SECONDS = 30
DRAIN_MARGIN_SECONDS = 5
DOWNLOAD_ATTEMPTS = 4
# A model may take this long from the start of the container to its first answer.
START_SECONDS = 600
_SMALL = {"cpu": "250m", "memory": "256Mi"}
_LARGE = {"cpu": "500m", "memory": "1Gi"}
_SMALL_MEMORY_LIMIT = "1Gi"
_LARGE_MEMORY_LIMIT = "4Gi"


def build_pod_template(service: InferenceService, config: Config, image: str) -> Manifest:
    """The pod template without the label of its revision."""
    pod = service.pod
    spec: Manifest = {
        "automountServiceAccountToken": pod.automount_token,
        "enableServiceLinks": False,
        "securityContext": {
            "runAsNonRoot": True,
            "seccompProfile": {"type": "RuntimeDefault"},
            **pod.security_context,
        },
        "terminationGracePeriodSeconds": grace_period(service),
        "containers": [build_server(service, image)],
        "volumes": build_volumes(service.model) + build_golden_volumes(service.golden),
        **pod.fields,
    }
    if service.model.source.kind is SourceKind.REMOTE:
        spec["initContainers"] = [build_initializer(service.model, config, image)]
    if "topologySpreadConstraints" in spec:
        own = {"matchLabels": names.selector(service.name)}
        spec["topologySpreadConstraints"] = [
            {"labelSelector": own, **item} for item in spec["topologySpreadConstraints"]
        ]
    labels = {**pod.labels, **names.labels(service.name)}
    metadata: Manifest = {"labels": labels}
    if pod.annotations:
        metadata["annotations"] = dict(pod.annotations)
    return {"metadata": metadata, "spec": spec}


def grace_period(service: InferenceService) -> int:
    """Seconds until SIGKILL: for proxies to stop using the pod, for requests, and a margin."""
    if service.pod.grace_period_s is not None:
        return service.pod.grace_period_s
    longest = max(service.limits.timeout_s or 0, MINIMUM_DRAIN_SECONDS)
    return PRE_STOP_SECONDS + longest + DRAIN_MARGIN_SECONDS


def drain_seconds(service: InferenceService) -> int:
    """Seconds for which the server waits for its requests, so that it ends before SIGKILL."""
    return max(grace_period(service) - PRE_STOP_SECONDS - DRAIN_MARGIN_SECONDS, 1)


def build_server(service: InferenceService, image: str) -> Manifest:
    """The model-server container."""
    model = service.model
    container: Manifest = {
        **_common(model, image, names.CONTAINER),
        "env": build_environment(service),
        "ports": [{"name": names.PORT_NAME, "containerPort": names.PORT, "protocol": "TCP"}],
        "resources": build_resources(model),
        # /readyz answers 200 only after a warm-up inference, so Ready means that the model works.
        "startupProbe": _probe("/readyz", period=1, failures=START_SECONDS),
        "readinessProbe": _probe("/readyz", period=5, failures=2),
        "livenessProbe": _probe("/healthz", period=10, failures=6),
        "lifecycle": {"preStop": {"sleep": {"seconds": PRE_STOP_SECONDS}}},
        "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],  # noqa: S108 - in the container
    }
    if model.source.kind is not SourceKind.BUNDLED:
        container["volumeMounts"].append(
            {"name": names.MODEL_VOLUME, "mountPath": names.MODEL_PATH, "readOnly": True}
        )
    if any(picture.config_map for picture in service.golden):
        container["volumeMounts"].append(
            {"name": names.GOLDEN_VOLUME, "mountPath": names.GOLDEN_PATH, "readOnly": True}
        )
    return container


def build_initializer(model: Model, config: Config, image: str) -> Manifest:
    """The init container that downloads and verifies the model."""
    arguments = ["download", "--uri", model.source.uri, "--dest", names.MODEL_PATH]
    # The kubelet restarts a failed download; its reason is reported only once it has failed.
    arguments += ["--attempts", str(DOWNLOAD_ATTEMPTS)]
    if model.source.sha256:
        arguments += ["--sha256", model.source.sha256]
    for path, digest in sorted(model.source.files.items()):
        arguments += ["--file-sha256", f"{path}={digest}"]
    if config.max_model_bytes:
        arguments += ["--max-bytes", str(config.max_model_bytes)]
    if config.allow_private_addresses:
        arguments.append("--allow-private-addresses")
    for network in config.allowed_addresses:
        arguments += ["--allow-address", network]
    if config.instance_credentials:
        arguments.append("--instance-credentials")
    # The same resources as the server without devices: a pod requests the larger of the two.
    container: Manifest = {
        **_common(model, image, names.INIT_CONTAINER),
        "args": arguments,
        "resources": {
            kind: {k: v for k, v in amounts.items() if k in {"cpu", "memory", "ephemeral-storage"}}
            for kind, amounts in build_resources(model).items()
        },
        "volumeMounts": [
            {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108 - in the container
            {"name": names.MODEL_VOLUME, "mountPath": names.MODEL_PATH},
        ],
    }
    if model.env:
        container["env"] = [dict(entry) for entry in model.env]
    return container


def build_environment(service: InferenceService) -> list[Manifest]:
    """The server's settings and the user's variables, which take precedence."""
    model, limits = service.model, service.limits
    address = {
        SourceKind.BUNDLED: model.source.uri,
        SourceKind.REMOTE: names.MODEL_PATH,
        SourceKind.VOLUME: f"{names.MODEL_PATH}/{model.source.path}".rstrip("/"),
    }[model.source.kind]
    settings: dict[str, object | None] = {
        "MODEL": address,
        "NAME": service.name,
        "FORMAT": model.format.value or None,
        "CONTAINER_CONCURRENCY": limits.concurrency,
        "TIMEOUT_SECONDS": limits.timeout_s,
        "MAX_BATCH_SIZE": limits.max_batch_size,
        "MAX_LATENCY_MS": limits.max_latency_ms,
        "DRAIN_SECONDS": drain_seconds(service),
        "GOLDEN": build_golden_setting(service.golden) or None,
    }
    given = {entry["name"] for entry in model.env}
    own = [
        {"name": f"MODEL_SERVER_{key}", "value": str(value)}
        for key, value in settings.items()
        if value is not None and f"MODEL_SERVER_{key}" not in given
    ]
    return own + [dict(entry) for entry in model.env]


def build_golden_setting(golden: Sequence[Golden]) -> str:
    """The golden pictures as the server reads them, empty when there are none."""
    pictures = [
        {
            "image": f"{names.GOLDEN_PATH}/{index}/{one.key}" if one.key else one.image,
            "label": one.label,
            **({"min_score": one.min_score} if one.min_score else {}),
            "name": f"{one.config_map}/{one.key}" if one.key else one.image,
        }
        for index, one in enumerate(golden)
    ]
    return json.dumps(pictures, separators=(",", ":")) if pictures else ""


def build_golden_volumes(golden: Sequence[Golden]) -> list[Manifest]:
    """The golden pictures that come from ConfigMaps, each below its place in the list."""
    sources = [
        {
            "configMap": {
                "name": one.config_map,
                "items": [{"key": one.key, "path": f"{index}/{one.key}"}],
            }
        }
        for index, one in enumerate(golden)
        if one.config_map
    ]
    return [{"name": names.GOLDEN_VOLUME, "projected": {"sources": sources}}] if sources else []


def build_resources(model: Model) -> Manifest:
    """Requests and limits of the user, with defaults for cpu and memory.

    A resource for which the user set a request or a limit gets no default: a default request above
    the user's limit would be refused.
    """
    large = model.format.needs_tensorflow
    requests, limits = dict(model.requests), dict(model.limits)
    if "memory" not in model.requests and "memory" not in model.limits:
        limits["memory"] = _LARGE_MEMORY_LIMIT if large else _SMALL_MEMORY_LIMIT
    defaults = _LARGE if large else _SMALL
    requests |= {k: v for k, v in defaults.items() if k not in {**requests, **model.limits}}
    both: Mapping[str, dict[str, str]] = {"requests": requests, "limits": limits}
    return {kind: amounts for kind, amounts in both.items() if amounts}


def build_volumes(model: Model) -> list[Manifest]:
    """The only writable folder, and the volume of the model."""
    volumes: list[Manifest] = [{"name": "tmp", "emptyDir": {}}]
    if model.source.kind is SourceKind.REMOTE:
        volumes.append({"name": names.MODEL_VOLUME, "emptyDir": {}})
    elif model.source.kind is SourceKind.VOLUME:
        claim = {"claimName": model.source.claim, "readOnly": True}
        volumes.append({"name": names.MODEL_VOLUME, "persistentVolumeClaim": claim})
    return volumes


def _common(model: Model, image: str, name: str) -> Manifest:
    """What both containers have in common."""
    common: Manifest = {
        "name": name,
        "image": image,
        "imagePullPolicy": model.image_pull_policy,
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
    }
    if model.env_from:
        common["envFrom"] = [dict(entry) for entry in model.env_from]
    return common


def _probe(path: str, period: int, failures: int) -> Manifest:
    return {
        "httpGet": {"path": path, "port": names.PORT_NAME},
        "periodSeconds": period,
        "timeoutSeconds": 5,
        "failureThreshold": failures,
    }
