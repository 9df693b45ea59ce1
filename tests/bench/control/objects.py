"""The resources that are created, and their children as the operator itself would build them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from inference_operator import names
from inference_operator.api.spec import parse
from inference_operator.config import Config
from inference_operator.desired.state import build_desired

NAMESPACE = "bench"


def service(number: int) -> dict[str, Any]:
    """An InferenceService as ``deploy/examples/detector.yaml`` has it."""
    return {
        "apiVersion": names.API_VERSION,
        "kind": names.KIND,
        "metadata": {"name": f"s{number:05d}", "namespace": NAMESPACE},
        "spec": {"predictor": {"minReplicas": 1, "maxReplicas": 3}},
    }


def children(number: int) -> Iterator[dict[str, Any]]:
    """What the operator would apply for it, without an owner: none exists for a bare client.

    Without the record of the revision, whose name differs from that of the other children: the
    operator makes one object more than those it is compared with.
    """
    body = service(number)
    body["metadata"]["uid"] = "00000000-0000-0000-0000-000000000000"
    for child in build_desired(parse(body), Config()).children:
        if child["kind"] == "ControllerRevision":
            continue
        metadata = {k: v for k, v in child["metadata"].items() if k != "ownerReferences"}
        yield {**child, "metadata": metadata}


def child_name(number: int) -> str:
    """The name of every child of a service."""
    return names.predictor(f"s{number:05d}")


# Whatever the operator makes of such a resource is what every contestant must make.
KINDS = tuple(child["kind"] for child in children(0))
