"""An answer that comes after a later change must not hide that change."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Callable, Mapping
from typing import Any

from inference_operator.api.spec import parse
from inference_operator.cache.store import Store
from inference_operator.config import Config
from inference_operator.desired.state import build_desired
from inference_operator.reconcile.children import Children

KEY = ("vision", "shapes")
OWNER = {
    "metadata": {"namespace": "vision", "name": "shapes", "uid": "u", "generation": 1},
    "spec": {"predictor": {"model": {"modelFormat": {"name": "tflite"}}}},
}


class AnsweringClient:
    """Takes what is applied as it is; `meanwhile` happens before the answer arrives."""

    def __init__(self, meanwhile: Callable[[dict[str, Any]], None]) -> None:
        self._meanwhile = meanwhile
        self.applied: list[str] = []

    async def apply(self, manifest: Mapping[str, Any], *_: str, **__: bool) -> dict[str, Any]:
        self.applied.append(manifest["kind"])
        answer: dict[str, Any] = copy.deepcopy(dict(manifest))
        answer["metadata"] |= {"uid": manifest["kind"], "resourceVersion": "10"}
        self._meanwhile(answer)
        return answer


def synced(meanwhile: Callable[[Store, dict[str, Any]], None], passes: int) -> list[str]:
    """What was applied in so many passes."""
    store = Store()
    store.put_service(KEY, OWNER)
    client = AnsweringClient(lambda answer: meanwhile(store, answer))
    children = Children(client, store)  # type: ignore[arg-type]
    service = parse(OWNER)
    desired = build_desired(service, Config())
    for _ in range(passes):
        asyncio.run(children.sync(KEY, service, desired))
    return client.applied


def test_what_was_applied_is_in_sync() -> None:
    assert sorted(synced(lambda *_: None, 2)) == sorted(synced(lambda *_: None, 1))


def test_the_event_of_the_answer_itself_may_come_first() -> None:
    def seen(store: Store, answer: dict[str, Any]) -> None:
        store.put_child(KEY, answer["kind"], answer)

    assert synced(seen, 2) == synced(lambda *_: None, 1)


def test_a_change_that_was_seen_before_the_answer_is_put_right() -> None:
    def changed(store: Store, answer: dict[str, Any]) -> None:
        entry = store.entry(KEY)
        assert entry is not None
        if answer["kind"] == "Service" and "Service" not in entry.children:
            later = copy.deepcopy(answer)
            later["metadata"]["resourceVersion"] = "11"
            later["spec"]["ports"] = []
            store.put_child(KEY, "Service", later)

    once = synced(lambda *_: None, 1)
    assert sorted(synced(changed, 2)) == sorted([*once, "Service"])
