"""The spec of an InferenceService as typed, immutable values.

`spec` parses them from the body of a resource and `desired` builds manifests from them. No logic
beyond what follows from the values themselves.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from inference_operator.objects import Json
from inference_operator.rollout.settings import RolloutSettings

DEFAULT_ROLLOUT = RolloutSettings()


class Format(StrEnum):
    """Format of a model; if empty, the server detects it."""

    UNKNOWN = ""
    TFLITE = "tflite"
    SAVEDMODEL = "savedmodel"
    KERAS = "keras"

    @property
    def needs_tensorflow(self) -> bool:
        """Whether it needs the image with TensorFlow."""
        return self in {Format.SAVEDMODEL, Format.KERAS}


class SourceKind(StrEnum):
    """Where a model comes from."""

    BUNDLED = "bundled"
    VOLUME = "pvc"
    REMOTE = "remote"


@dataclass(frozen=True)
class Source:
    """Where the model comes from.

    `claim` and `path` belong to VOLUME: the PersistentVolumeClaim and the path in it, without a
    leading slash. `sha256` of the download and `files`, digests by path in the unpacked model,
    belong to REMOTE and are empty when not given.
    """

    kind: SourceKind
    uri: str
    claim: str = ""
    path: str = ""
    sha256: str = ""
    files: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Model:
    """The model, and the container that serves it."""

    source: Source
    format: Format = Format.UNKNOWN
    image: str = ""
    image_pull_policy: str = "IfNotPresent"
    requests: Mapping[str, str] = field(default_factory=dict)
    limits: Mapping[str, str] = field(default_factory=dict)
    env: tuple[Json, ...] = ()
    env_from: tuple[Json, ...] = ()


@dataclass(frozen=True)
class Scaling:
    """The number of replicas, and what an autoscaler measures.

    `target` is in percent of the request if `target_type` is Utilization, otherwise in millicores
    (cpu) or MiB (memory) per pod. `metrics` is a list of autoscaling/v2 MetricSpec that replaces
    `metric` and `target`. `configured` says whether any field about autoscaling is set.
    """

    min_replicas: int = 1
    max_replicas: int = 1
    metric: str = "cpu"
    target: int = 80
    target_type: str = "Utilization"
    metrics: tuple[Json, ...] = ()
    behavior: Json = field(default_factory=dict)
    configured: bool = False

    @property
    def autoscaled(self) -> bool:
        """Whether an autoscaler owns the number of replicas."""
        return self.min_replicas > 0 and (self.max_replicas > self.min_replicas or self.configured)


@dataclass(frozen=True)
class Limits:
    """Limits of requests and pods; None means the server's default."""

    concurrency: int | None = None
    timeout_s: int | None = None
    max_batch_size: int | None = None
    max_latency_ms: int | None = None


@dataclass(frozen=True)
class Pod:
    """Fields of the pod; `fields` are passed through under their Kubernetes names."""

    fields: Json = field(default_factory=dict)
    security_context: Json = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    grace_period_s: int | None = None
    automount_token: bool = False
    strategy: Json = field(default_factory=dict)


@dataclass(frozen=True)
class Golden:
    """A picture that every pod must answer rightly before it is ready.

    Either `image`, a file of the model's folder, or `key` of the ConfigMap `config_map`. `label`
    must be among the answers with at least `min_score` (0..1).
    """

    image: str = ""
    config_map: str = ""
    key: str = ""
    label: str = ""
    min_score: float = 0.0


@dataclass(frozen=True)
class Exposure:
    """The Service in front of the pods."""

    type: str = "ClusterIP"
    annotations: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class InferenceService:
    """One parsed resource."""

    name: str
    namespace: str
    uid: str
    generation: int
    model: Model
    scaling: Scaling
    limits: Limits
    pod: Pod
    exposure: Exposure
    golden: tuple[Golden, ...] = ()
    rollout: RolloutSettings = DEFAULT_ROLLOUT
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
