"""A thousand services fit in ten megabytes: what the store keeps of one, counted by Python."""

from __future__ import annotations

import copy
import gc
import tracemalloc
from typing import Any

import msgspec

from inference_operator import names
from inference_operator.api.spec import parse
from inference_operator.cache.drift import digest
from inference_operator.cache.observed import DeploymentState, Observed, PodState
from inference_operator.cache.store import Store
from inference_operator.config import Config
from inference_operator.desired.state import build_desired
from inference_operator.objects import Json
from inference_operator.status.assessment import StatusInputs
from inference_operator.status.summary import summarize
from support import operator_objects as objects

SERVICES = 200
BUDGET_BYTES = 10_000


def observe(store: Store, number: int) -> None:
    """One service that serves, with its children in sync, as the watches would give them."""
    name = f"service-{number}"
    uid = f"{number:08x}-0000-4000-8000-000000000000"
    body = objects.service(1, uid, name, predictor={"minReplicas": 1, "maxReplicas": 3})
    service = parse(body)
    desired = build_desired(service, Config())
    child = names.predictor(name)
    pod = objects.pod(f"{child}-{objects.HASH}-{number}", 1, child, name)
    revision = desired.revision.rpartition("-")[2]
    state = PodState(pod["metadata"]["name"], revision, ready=True, stage="Ready", deployment=child)
    deployment = DeploymentState(1, 1, 1, 1, 1, 1)
    body["status"] = summarize(
        StatusInputs(
            body=body,
            observed=Observed({child: deployment}, (state,)),
            now="2026-01-01T00:00:00Z",
            service=service,
            desired=desired,
        )
    )
    key = ("vision", name)
    store.put_service(key, fresh(body))
    for manifest in desired.children:
        seen = fresh(manifest)
        seen["metadata"] |= {"uid": f"{uid}-{manifest['kind']}", "resourceVersion": "7"}
        name = manifest["metadata"]["name"]
        assert store.put(key, manifest["kind"], seen)
        kept = store.child(key, (manifest["kind"], name))
        assert kept is not None
        kept.mark_in_sync(digest(manifest))
    assert store.put(key, "Pod", fresh(pod))


def fresh(value: Json) -> Any:
    """A copy that shares nothing, as if it had just been decoded."""
    return msgspec.json.decode(msgspec.json.encode(copy.deepcopy(value)))


def test_a_service_takes_less_than_its_share() -> None:
    store = Store()
    observe(store, 0)
    gc.collect()
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        for number in range(1, SERVICES + 1):
            observe(store, number)
        gc.collect()
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    each = (after - before) / SERVICES
    print(f"{each:.0f} bytes a service")
    assert each < BUDGET_BYTES
