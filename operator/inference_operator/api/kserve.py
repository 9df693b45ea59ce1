"""KServe's annotations on an InferenceService.

KServe configures parts of a service with annotations instead of fields. Annotations that ask for
what happens here anyway are accepted. All others are refused with what to write instead, so that
nobody relies on an autoscaler or a stop that has no effect.

The names and values are those of https://kserve.github.io/website (deployment modes, autoscaling).
"""

from __future__ import annotations

from collections.abc import Mapping

from inference_operator.errors import SpecError

PREFIXES = ("serving.kserve.io/", "autoscaling.knative.dev/")

_ACCEPTED: Mapping[str, tuple[str, ...]] = {
    "serving.kserve.io/deploymentMode": ("Standard", "RawDeployment"),
    "serving.kserve.io/autoscalerClass": ("hpa",),
    "serving.kserve.io/stop": ("false",),
}
_INSTEAD: Mapping[str, str] = {
    "serving.kserve.io/deploymentMode": "services always run as Deployments: remove it",
    "serving.kserve.io/autoscalerClass": "remove it; autoscalers other than the HPA can scale "
    "the InferenceService itself through its scale subresource",
    "serving.kserve.io/stop": "set spec.predictor.minReplicas to 0 without maxReplicas",
    "serving.kserve.io/metric": "set spec.predictor.scaleMetric",
    "serving.kserve.io/metrics": "set spec.predictor.scaleMetric",
    "serving.kserve.io/targetUtilizationPercentage": "set spec.predictor.scaleTarget",
    "autoscaling.knative.dev/min-scale": "set spec.predictor.minReplicas",
    "autoscaling.knative.dev/max-scale": "set spec.predictor.maxReplicas",
    "autoscaling.knative.dev/minScale": "set spec.predictor.minReplicas",
    "autoscaling.knative.dev/maxScale": "set spec.predictor.maxReplicas",
    "autoscaling.knative.dev/metric": "set spec.predictor.scaleMetric",
    "autoscaling.knative.dev/target": "set spec.predictor.scaleTarget",
}


def annotations_of(metadata: Mapping[str, object]) -> dict[str, str]:
    """The annotations with a prefix of KServe or Knative."""
    given = metadata.get("annotations")
    if not isinstance(given, Mapping):
        return {}
    return {str(key): str(value) for key, value in given.items() if str(key).startswith(PREFIXES)}


def check(annotations: Mapping[str, str]) -> None:
    """Accept annotations that ask for what happens anyway.

    Args:
        annotations: As `annotations_of` gives them.

    Raises:
        SpecError: An annotation asks for something else; the message says what to write instead.
    """
    for key, value in sorted(annotations.items()):
        if value not in _ACCEPTED.get(key, ()):
            advice = _INSTEAD.get(key, "remove it")
            raise SpecError(f"metadata.annotations[{key}]", f"{value!r} is not supported: {advice}")
