"""A pure function that computes the status of an InferenceService from the observed state."""

from __future__ import annotations

from inference_operator import names
from inference_operator.objects import Manifest
from inference_operator.status.assessment import StatusInputs, assess
from inference_operator.status.conditions import build_conditions
from inference_operator.status.model import build_model_status
from inference_operator.status.predictor import build_predictor


def summarize(inputs: StatusInputs) -> Manifest:
    """Compute the complete status; equal to the previous one if nothing changed."""
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
    """Return the URL of the load balancer, empty if there is none."""
    host = inputs.load_balancer
    if inputs.service is None or inputs.service.exposure.type != "LoadBalancer" or not host:
        return ""
    return f"http://[{host}]" if ":" in host else f"http://{host}"
