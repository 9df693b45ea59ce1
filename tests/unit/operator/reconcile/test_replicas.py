"""The number of replicas is handed over without a moment in which it is nobody's."""

from __future__ import annotations

import asyncio

import pytest

from inference_operator.cache.store import Store
from inference_operator.errors import ApiError
from inference_operator.names import FIELD_MANAGER, HANDOVER_MANAGER
from inference_operator.reconcile.replicas import Replicas
from support.memory_api import MemoryApi, owners_of_replicas, set_owners_of_replicas
from support.operator_objects import KEY, Body, child, service

NAME = "shapes-predictor"


class Bench:
    """A Deployment with so many replicas, which are of these field managers."""

    def __init__(self, replicas: int, *managers: str, name: str = NAME) -> None:
        deployment = child(uid=name, name=name)
        deployment["spec"] = {"replicas": replicas}
        set_owners_of_replicas(deployment, *managers)
        self.name = name
        self.api = MemoryApi(deployment)
        self.store = Store()
        self.store.put_service(KEY, service())
        self.store.put(KEY, "Deployment", deployment)
        self.replicas = Replicas(self.api, self.store)  # type: ignore[arg-type]

    @property
    def deployment(self) -> Body:
        return self.api.objects["Deployment", "vision", self.name]

    def release(self) -> None:
        asyncio.run(self.replicas.release(KEY, self.name))

    def raise_to(self, minimum: int) -> bool:
        return asyncio.run(self.replicas.raise_to(KEY, self.name, minimum))


@pytest.mark.parametrize("name", [NAME, "shapes-predictor-canary"])
def test_a_released_number_stays_as_it_is(name: str) -> None:
    bench = Bench(3, FIELD_MANAGER, name=name)
    bench.release()
    assert owners_of_replicas(bench.deployment) == {FIELD_MANAGER, HANDOVER_MANAGER}
    # What the operator does next: it applies the Deployment without the number.
    without = child(uid=name, name=name)
    asyncio.run(bench.api.apply(without, FIELD_MANAGER, force=True))
    assert bench.deployment["spec"]["replicas"] == 3
    assert owners_of_replicas(bench.deployment) == {HANDOVER_MANAGER}


@pytest.mark.parametrize("owner", ["kube-controller-manager", HANDOVER_MANAGER])
def test_a_number_of_others_is_not_touched(owner: str) -> None:
    bench = Bench(3, owner)
    bench.release()
    assert bench.api.calls == []


def test_a_number_that_changed_meanwhile_is_the_others() -> None:
    bench = Bench(3, FIELD_MANAGER)
    bench.deployment["spec"]["replicas"] = 7
    bench.deployment["metadata"]["resourceVersion"] = "50"
    set_owners_of_replicas(bench.deployment, "kube-controller-manager")
    bench.release()
    assert bench.deployment["spec"]["replicas"] == 7
    observed = bench.store.observed(KEY).deployments[NAME]
    assert observed.desired == 7, "what the API server has is known afterwards"


def test_a_number_that_is_contested_is_an_error() -> None:
    bench = Bench(3, FIELD_MANAGER, "kubectl")
    bench.deployment["spec"]["replicas"] = 7
    bench.deployment["metadata"]["resourceVersion"] = "50"
    with pytest.raises(ApiError, match="contested"):
        bench.release()


@pytest.mark.parametrize(
    ("replicas", "owners", "minimum", "expected"),
    [
        (1, (), 3, 3),  # a new Deployment
        (0, (HANDOVER_MANAGER,), 2, 2),  # one that was stopped
        (4, (), 3, 4),  # enough
        (1, ("kube-controller-manager",), 3, 1),  # the autoscaler has decided
        (1, (FIELD_MANAGER,), 3, 1),  # a fixed number
    ],
)
def test_raising_to_the_minimum(
    replicas: int, owners: tuple[str, ...], minimum: int, expected: int
) -> None:
    bench = Bench(replicas, *owners)
    assert bench.raise_to(minimum) is (expected != replicas)
    assert bench.deployment["spec"]["replicas"] == expected


def test_a_deployment_that_is_gone_is_not_made_anew() -> None:
    bench = Bench(1)
    bench.api.objects.clear()
    assert not bench.raise_to(3)
    assert bench.api.objects == {}


def test_other_errors_are_raised() -> None:
    bench = Bench(1)
    bench.api.refuse = lambda call, *_: ApiError(403, "no") if call == "apply" else None
    with pytest.raises(ApiError, match="no"):
        bench.raise_to(3)


def test_a_deployment_that_is_unknown_is_left_alone() -> None:
    bench = Bench(1)
    bench.name = "shapes-predictor-unknown"
    bench.release()
    assert not bench.raise_to(3)
    assert bench.api.calls == []
