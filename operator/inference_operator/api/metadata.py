"""Labels and annotations of an InferenceService that its children and pods inherit.

KServe passes them on, and so do people who need a sidecar switched off, a scraper switched on, or a
label that a policy of their platform requires on every object. What other tools write about the
resource itself stays there: Argo CD or `kubectl apply --prune` would otherwise take the children
for their own and delete them. `spec.predictor.labels` and `.annotations` reach the pods in any
case. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping

from inference_operator import names
from inference_operator.errors import SpecError
from inference_operator.objects import Json

# Domains, each with everything below it, whose labels and annotations are about the resource that
# has them. `kubernetes.io` and `k8s.io` include those of kubectl, kustomize and ApplySets.
_NOT_INHERITED = (
    names.GROUP,
    "argoproj.io",
    "cattle.io",
    "crossplane.io",
    "fluxcd.io",
    "helm.sh",
    "k14s.io",
    "k8s.io",
    "knative.dev",
    "kpt.dev",
    "kserve.io",
    "kubernetes.io",
    "openshift.io",
    "pulumi.com",
    "skaffold.dev",
    "tekton.dev",
    "velero.io",
)


def is_inherited(key: str) -> bool:
    """Whether children and pods get the label or annotation `key` of the InferenceService."""
    prefix, slash, _ = key.rpartition("/")
    return not slash or not any(
        prefix == domain or prefix.endswith(f".{domain}") for domain in _NOT_INHERITED
    )


def own_annotations(metadata: Json) -> dict[str, str]:
    """The annotations in `metadata` that are in the operator's own domain."""
    given = metadata.get("annotations") or {}
    return {key: str(given[key]) for key in given if str(key).startswith(f"{names.GROUP}/")}


def check_own_annotations(metadata: Json) -> None:
    """Refuse annotations in the operator's domain that it does not know.

    Raises:
        SpecError: one is mistyped or of another version; nothing would have come of it.
    """
    for key in sorted(own_annotations(metadata)):
        if key not in names.ROLLOUT_ANNOTATIONS:
            known = ", ".join(names.ROLLOUT_ANNOTATIONS)
            raise SpecError(f"metadata.annotations[{key}]", f"is not one of {known}: remove it")


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
