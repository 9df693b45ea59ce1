# mypy: disable-error-code="import-not-found,import-untyped,untyped-decorator,no-untyped-call"
"""A minimal kopf operator as its tutorial begins: synchronous handlers, the official client.

It creates the same children for each resource and repairs nothing.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import kopf
import kubernetes

CHILDREN = json.loads(Path(os.environ["BENCH_CHILDREN"]).read_text(encoding="utf-8"))


@kopf.on.startup()
def configure(settings: kopf.OperatorSettings, **_: Any) -> None:
    """One thread for each of 16 handlers at once, as many as the operator under test has."""
    settings.execution.max_workers = 16
    settings.posting.enabled = False
    settings.peering.standalone = True


@kopf.on.login()
def login(**kwargs: Any) -> kopf.ConnectionInfo | None:
    """Credentials from KUBECONFIG."""
    kubernetes.config.load_kube_config()
    return kopf.login_with_kubeconfig(**kwargs)


@kopf.on.create("inference-operator.dev", "v1beta1", "inferenceservices")
def create(name: str, namespace: str | None, **_: Any) -> None:
    """Create the children, one after another."""
    client = kubernetes.client.ApiClient()
    makers: dict[str, Callable[..., Any]] = {
        "Deployment": kubernetes.client.AppsV1Api(client).create_namespaced_deployment,
        "Service": kubernetes.client.CoreV1Api(client).create_namespaced_service,
        "HorizontalPodAutoscaler": kubernetes.client.AutoscalingV2Api(
            client
        ).create_namespaced_horizontal_pod_autoscaler,
        "PodDisruptionBudget": kubernetes.client.PolicyV1Api(
            client
        ).create_namespaced_pod_disruption_budget,
    }
    for child in json.loads(json.dumps(CHILDREN).replace("s00000", name)):
        kopf.adopt(child)
        makers[child["kind"]](str(namespace), child)
