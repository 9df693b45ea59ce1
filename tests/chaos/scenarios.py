"""What people do with a service: each a way from one settled state to another."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from chaos.state import NAME, SERVICES
from support.api import MERGE, Api, Json

CLASSIFIER = {"storageUri": "bundled://classifier"}


class Person:
    """Somebody with kubectl in one namespace."""

    def __init__(self, api: Api, namespace: str) -> None:
        self._api = api
        self._where = SERVICES.format(f"namespaces/{namespace}/")

    async def create(self, **predictor: Any) -> None:
        """`kubectl create` of a predictor."""
        await self.create_spec({"predictor": predictor})

    async def create_spec(self, spec: Json) -> None:
        """`kubectl create` of a whole spec."""
        body: Json = {
            "apiVersion": "inference-operator.dev/v1beta1",
            "kind": "InferenceService",
            "metadata": {"name": NAME},
            "spec": spec,
        }
        await self._api.call("POST", self._where, body)

    async def patch(self, **predictor: Any) -> None:
        """`kubectl patch`; None removes a field."""
        body = {"spec": {"predictor": predictor}}
        await self._api.call("PATCH", f"{self._where}/{NAME}", body, Content_Type=MERGE)

    async def replace_spec(self, spec: Json) -> None:
        """`kubectl replace`: fields that are not given are gone."""
        body: Json = {"op": "replace", "path": "/spec", "value": spec}
        await self._api.call(
            "PATCH", f"{self._where}/{NAME}", [body], Content_Type="application/json-patch+json"
        )

    async def delete(self) -> None:
        """`kubectl delete --wait=false`."""
        await self._api.call("DELETE", f"{self._where}/{NAME}")


Act = Callable[[Person], Awaitable[None]]


@dataclass(frozen=True)
class Scenario:
    """`begin` leads to the settled state in which faults are planned, `act` is what meets them."""

    begin: Act
    act: Act


async def _nothing(_: Person) -> None:
    pass


async def _create(one: Person) -> None:
    await one.create(minReplicas=1, maxReplicas=3)


async def _update(one: Person) -> None:
    await one.patch(model=CLASSIFIER)


async def _fixed(one: Person) -> None:
    await one.create(minReplicas=1, maxReplicas=1)


async def _to_autoscaled(one: Person) -> None:
    await one.patch(minReplicas=2, maxReplicas=4)


async def _to_fixed(one: Person) -> None:
    await one.patch(minReplicas=2, maxReplicas=2)


async def _delete(one: Person) -> None:
    await one.delete()


async def _again(one: Person) -> None:
    await one.delete()
    await one.create(minReplicas=2, maxReplicas=3, model=CLASSIFIER)


async def _stop(one: Person) -> None:
    await one.patch(minReplicas=0, maxReplicas=None)


SCENARIOS: Mapping[str, Scenario] = {
    "create": Scenario(_nothing, _create),
    "update the model": Scenario(_create, _update),
    "fixed to autoscaled": Scenario(_fixed, _to_autoscaled),
    "autoscaled to fixed": Scenario(_create, _to_fixed),
    "delete": Scenario(_create, _delete),
    "delete and create": Scenario(_create, _again),
    "stop": Scenario(_create, _stop),
}
