"""The status of an InferenceService, computed from what was observed by one pure function."""

from __future__ import annotations

from inference_operator import names
from inference_operator.objects import Manifest
from inference_operator.status.assessment import StatusInputs, assess
from inference_operator.status.conditions import build_conditions
from inference_operator.status.model import build_model_status
from inference_operator.status.predictor import build_predictor


def summarize(inputs: StatusInputs) -> Manifest:
    """The whole status as it should be; equal to the previous one when nothing changed."""
    assessment = assess(inputs)
    metadata = inputs.body["metadata"]
    name, namespace = metadata["name"], metadata["namespace"]
    deployment = inputs.deployment
    address = f"http://{names.predictor(name)}.{namespace}.svc.{inputs.cluster_domain}"
    selector = ",".join(f"{key}={value}" for key, value in names.selector(name).items())
    status: Manifest = {
        "observedGeneration": inputs.generation,
        "address": {"url": address},
        "replicas": deployment.replicas if deployment else 0,
        "pods": assessment.pods,
        "selector": selector,
        "conditions": build_conditions(inputs, assessment),
        "components": {names.PREDICTOR: build_predictor(inputs, assessment, address)},
        "modelStatus": build_model_status(inputs, assessment),
    }
    if assessment.serves:
        status["url"] = _external_url(inputs) or address
    return status


def _external_url(inputs: StatusInputs) -> str:
    """URL of the load balancer, empty when there is none."""
    host = inputs.load_balancer
    if inputs.service is None or inputs.service.exposure.type != "LoadBalancer" or not host:
        return ""
    return f"http://[{host}]" if ":" in host else f"http://{host}"
