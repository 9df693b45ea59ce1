"""What a user of KServe may have written into the annotations of an InferenceService.

KServe configures a part of a service by annotations instead of fields. Those that ask for what
happens here anyway are accepted, all others are refused with what to write instead: an autoscaler
or a stop that was asked for and never came would be found out at night.

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
    "serving.kserve.io/deploymentMode": "every service is a Deployment: remove it",
    "serving.kserve.io/autoscalerClass": "remove it; another autoscaler than the HPA can scale the "
    "InferenceService itself, which has a scale subresource",
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
    """The annotations that are KServe's or Knative's own."""
    given = metadata.get("annotations")
    if not isinstance(given, Mapping):
        return {}
    return {str(key): str(value) for key, value in given.items() if str(key).startswith(PREFIXES)}


def check(annotations: Mapping[str, str]) -> None:
    """Accept what is fulfilled here.

    Args:
        annotations: As `annotations_of` gives them.

    Raises:
        SpecError: one asks for something else; the message says what to write instead.
    """
    for key, value in sorted(annotations.items()):
        if value not in _ACCEPTED.get(key, ()):
            advice = _INSTEAD.get(key, "remove it")
            raise SpecError(f"metadata.annotations[{key}]", f"{value!r} is not supported: {advice}")
