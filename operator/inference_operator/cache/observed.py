"""The observed state of children and pods, reduced to what decisions need.

A thousand services must fit into a few megabytes, so every watch event is reduced to one of these
small values. Pure; `pods` reads raw pods.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from inference_operator import names
from inference_operator.errors import mentions_quota
from inference_operator.objects import Json, find_condition
from inference_operator.rollout.records import Revision


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a pod or a Deployment cannot serve; of several problems the lowest `rank` is reported."""

    reason: str
    message: str
    exit_code: int | None = None
    rank: int = 0


@dataclass(frozen=True, slots=True)
class PodState:
    """One pod.

    `stage` is the startup stage of a pod without a problem, in one word; `deployment` is the name
    of the Deployment that it belongs to. `crashes` counts how often the model server has ended.
    `downloaded_at` is when the download ended (seconds since 1970; 0 until then), and
    `model_digest` is the digest of the downloaded model, as `sha256:HEX`.
    """

    name: str
    revision: str
    uid: str = ""
    ready: bool = False
    stage: str = "Pending"
    problem: Problem | None = None
    deployment: str = ""
    crashes: int = 0
    downloaded_at: int = 0
    model_digest: str = ""


@dataclass(frozen=True, slots=True)
class DeploymentState:
    """Counts and failures of a Deployment, as its controller reports them.

    `revision` is the digest in its pod template. `progressed_at` is when a pod was last created or
    last became ready (seconds since 1970; 0 if unknown).
    """

    generation: int = 0
    observed_generation: int = 0
    replicas: int = 0
    desired: int = 1
    updated: int = 0
    available: int = 0
    problem: Problem | None = None
    revision: str = ""
    progressed_at: int = 0

    @property
    def complete(self) -> bool:
        """Whether every pod has the latest template and is available."""
        return (
            self.observed_generation >= self.generation
            and self.replicas == self.updated == self.available == self.desired
        )


@dataclass(frozen=True, slots=True)
class Observed:
    """Everything known about the children of one InferenceService.

    `deployments` is keyed by Deployment name, `load_balancers` and `endpoints` by Service name;
    `endpoints` holds the names of the pods that the Service sends requests to.
    """

    deployments: Mapping[str, DeploymentState] = field(default_factory=dict)
    pods: tuple[PodState, ...] = ()
    load_balancers: Mapping[str, str] = field(default_factory=dict)
    endpoints: Mapping[str, frozenset[str]] = field(default_factory=dict)
    revisions: tuple[Revision, ...] = ()


def read_deployment(body: Json) -> DeploymentState:
    """Reduce a Deployment to its state."""
    spec, status = body.get("spec") or {}, body.get("status") or {}
    labels = ((spec.get("template") or {}).get("metadata") or {}).get("labels") or {}
    return DeploymentState(
        generation=body["metadata"].get("generation", 0),
        observed_generation=status.get("observedGeneration", 0),
        replicas=status.get("replicas", 0),
        desired=spec.get("replicas", 1),
        updated=status.get("updatedReplicas", 0),
        available=status.get("availableReplicas", 0),
        problem=_deployment_problem(status),
        revision=str(labels.get(names.LABEL_REVISION, "")),
        progressed_at=seconds_of(find_condition(status, "Progressing").get("lastUpdateTime")),
    )


def _deployment_problem(status: Json) -> Problem | None:
    """Return why pods could not be created or the rollout makes no progress, or None."""
    failure = find_condition(status, "ReplicaFailure")
    if failure.get("status") == "True":
        message = str(failure.get("message", ""))
        return Problem(_refusal(message), f"no pod can be created: {message}")
    progress = find_condition(status, "Progressing")
    if progress.get("status") == "False":
        message = "the pods did not become ready in time"
        return Problem("ProgressDeadlineExceeded", message, rank=9)
    return None


def _refusal(message: str) -> str:
    """Derive a reason from an admission plugin's message; the condition has nothing else."""
    if mentions_quota(message):
        return "QuotaExceeded"
    if "violates PodSecurity" in message:
        return "PodSecurityViolation"
    if "serviceaccount" in message.lower() and "not found" in message:
        return "ServiceAccountNotFound"
    return "PodCreationFailed"


def seconds_of(time: object) -> int:
    """Convert a Kubernetes timestamp to seconds since 1970; 0 if it is not one."""
    try:
        return int(datetime.fromisoformat(str(time)).timestamp())
    except ValueError:
        return 0


def read_load_balancer(body: Json) -> str:
    """Read the host name or address of a Service's load balancer, empty while it has none."""
    ingress = ((body.get("status") or {}).get("loadBalancer") or {}).get("ingress") or [{}]
    return str(ingress[0].get("hostname") or ingress[0].get("ip") or "")
