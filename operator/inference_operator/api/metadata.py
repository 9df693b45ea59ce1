"""Labels and annotations of an InferenceService that its children and pods inherit.

KServe passes them on, and so do people who need a sidecar switched off, a scraper switched on, or a
label that a policy of their platform requires on every object. What other tools write about the
resource itself stays there: Argo CD would otherwise take the children for its own and prune them,
and a chart's version label would restart every pod with each release of the chart. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping

from inference_operator import names
from inference_operator.objects import Json

# Prefix of a key, up to its slash, and everything below that domain.
_NOT_INHERITED = (
    names.GROUP,
    "app.kubernetes.io",
    "argocd.argoproj.io",
    "autoscaling.knative.dev",
    "config.k8s.io",
    "helm.sh",
    "internal.config.kubernetes.io",
    "kapp.k14s.io",
    "kubectl.kubernetes.io",
    "kustomize.toolkit.fluxcd.io",
    "helm.toolkit.fluxcd.io",
    "meta.helm.sh",
    "serving.kserve.io",
)


def is_inherited(key: str) -> bool:
    """Whether children and pods get the label or annotation `key` of the InferenceService."""
    prefix, slash, _ = key.rpartition("/")
    return not slash or not any(
        prefix == domain or prefix.endswith(f".{domain}") for domain in _NOT_INHERITED
    )


def inherited_labels(metadata: Json) -> dict[str, str]:
    """The labels in `metadata` that are passed on."""
    return _inherited(metadata.get("labels"))


def inherited_annotations(metadata: Json) -> dict[str, str]:
    """The annotations in `metadata` that are passed on."""
    return _inherited(metadata.get("annotations"))


def _inherited(given: object) -> dict[str, str]:
    if not isinstance(given, Mapping):
        return {}
    return {str(key): str(value) for key, value in given.items() if is_inherited(str(key))}
