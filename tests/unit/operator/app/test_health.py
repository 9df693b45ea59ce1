"""What /metrics and /readyz say, over a real connection."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import aiohttp
import pytest

from inference_operator.app import health
from inference_operator.app.sight import Sight
from inference_operator.cache.store import Store
from inference_operator.kubernetes.client import ApiClient
from inference_operator.objects import Key
from inference_operator.reconcile.loop import Loop
from inference_operator.reconcile.queue import WorkQueue
from support.operator_process import free_port


class Watched:
    """A watch and a resync, as far as `Sight` looks at them."""

    kind, heard_at, restarts, finished_at = "Pod", 90.0, 4, 40.0


def answers(store: Store, now: float = 100.0) -> dict[str, tuple[int, str]]:
    """What each path answers."""

    async def ask() -> dict[str, tuple[int, str]]:
        one: Any = Watched()
        sight = Sight([one], one, 600.0, lambda: 1.5, lambda: now)
        queue: WorkQueue[Key] = WorkQueue()
        client = ApiClient(lambda: None)  # type: ignore[arg-type,return-value]
        client.connection_errors = 7
        reconciler: Any = SimpleNamespace(contests=2)
        metrics = health.Metrics(Loop(reconciler, queue, store), client, sight)
        port = free_port()
        runner = await health.serve(metrics, port, lambda: True)
        found = {}
        try:
            async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as session:
                for path in ("healthz", "readyz", "metrics"):
                    async with session.get(f"/{path}") as answer:
                        found[path] = (answer.status, await answer.text())
        finally:
            await runner.cleanup()
        return found

    return asyncio.run(ask())


def put(store: Store, name: str, status: str, reason: str = "") -> None:
    condition = {"type": "Ready", "status": status, "reason": reason}
    store.put_service(
        ("vision", name),
        {
            "metadata": {"name": name, "namespace": "vision", "uid": name, "resourceVersion": "1"},
            "status": {"conditions": [condition]},
        },
    )


def test_every_service_has_its_state_and_reason() -> None:
    store = Store()
    put(store, "a", "True")
    put(store, "b", "False", "ImagePullBackOff")
    status, text = answers(store)["metrics"]
    assert status == 200
    lines = text.splitlines()
    name = "inference_operator_service_ready"
    assert f'{name}{{name="a",namespace="vision",reason=""}} 1.0' in lines
    assert f'{name}{{name="b",namespace="vision",reason="ImagePullBackOff"}} 0.0' in lines
    assert 'inference_operator_watch_age_seconds{kind="Pod"} 10.0' in lines
    assert 'inference_operator_watch_restarts_total{kind="Pod"} 4.0' in lines
    assert "inference_operator_resync_age_seconds 60.0" in lines
    assert "inference_operator_queue_age_seconds 1.5" in lines
    assert "inference_operator_api_connection_errors_total 7.0" in lines
    assert "inference_operator_status_contests_total 2.0" in lines


def test_a_container_cannot_fill_the_monitoring_with_reasons() -> None:
    store = Store()
    for number in range(3 * health.MAXIMUM_REASONS):
        put(store, f"s{number}", "False", f"Reason{number}")
    _, text = answers(store)["metrics"]
    lines = [line for line in text.splitlines() if line.startswith("inference_operator_service_r")]
    assert len(lines) == 3 * health.MAXIMUM_REASONS
    reasons = {line.rpartition('reason="')[2] for line in lines}
    assert len(reasons) == health.MAXIMUM_REASONS + 1


@pytest.mark.parametrize(("now", "status"), [(100.0, 200), (1000.0, 503)])
def test_an_operator_that_sees_nothing_is_alive_but_not_ready(now: float, status: int) -> None:
    found = answers(Store(), now)
    assert found["healthz"] == (200, "ok")
    ready, text = found["readyz"]
    assert ready == status
    assert text == ("ok" if status == 200 else "nothing was heard of the watch of Pod for 910 s")
