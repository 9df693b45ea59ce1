"""What the operator says of itself over HTTP: /healthz, /readyz and /metrics.

Alive means that the event loop turns and no worker has died; ready, that the first listing was
read. Both hold for a replica that does not lead: it is there to take over.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from aiohttp import web
from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.process_collector import ProcessCollector

from inference_operator.kubernetes.client import ApiClient
from inference_operator.reconcile.loop import Loop

METRICS = {
    "inference_operator_services": "InferenceServices that the operator knows.",
    "inference_operator_queue_depth": "InferenceServices that wait to be reconciled.",
    "inference_operator_leader": "1 on the replica that works, 0 on the others.",
    "inference_operator_reconciles_total": "Passes over an InferenceService.",
    "inference_operator_reconcile_failures_total": "Passes that failed and are tried again.",
    "inference_operator_api_calls_total": "Calls to the API server, by what and how they ended.",
}


class Metrics:
    """The operator's figures, read when somebody asks; a collector of prometheus_client."""

    def __init__(self, loop: Loop, client: ApiClient) -> None:
        self._loop = loop
        self._client = client

    def collect(self) -> Iterator[Metric]:
        """All figures as they are now."""
        loop = self._loop
        gauges = {
            "inference_operator_services": len(loop.store),
            "inference_operator_queue_depth": len(loop.queue),
            "inference_operator_leader": int(loop.active.is_set()),
        }
        for name, value in gauges.items():
            yield GaugeMetricFamily(name, METRICS[name], value=value)
        counters = {
            "inference_operator_reconciles_total": loop.reconciled,
            "inference_operator_reconcile_failures_total": loop.failed,
        }
        for name, value in counters.items():
            yield CounterMetricFamily(name, METRICS[name], value=value)
        name = "inference_operator_api_calls_total"
        calls = CounterMetricFamily(name, METRICS[name], labels=["method", "resource", "code"])
        for (method, resource, code), count in list(self._client.calls.items()):
            calls.add_metric([method, resource, str(code)], count)
        yield calls


async def serve(metrics: Metrics, port: int, alive: Callable[[], bool]) -> web.AppRunner:
    """Listen on `port` of all addresses until the runner is cleaned up."""
    registry = CollectorRegistry()
    registry.register(metrics)
    ProcessCollector(registry=registry)

    async def healthz(_: web.Request) -> web.Response:
        fine = alive()
        return web.Response(text="ok" if fine else "a worker died", status=200 if fine else 500)

    async def exposition(_: web.Request) -> web.Response:
        body = generate_latest(registry)
        return web.Response(body=body, headers={"Content-Type": CONTENT_TYPE_LATEST})

    application = web.Application()
    application.router.add_get("/healthz", healthz)
    application.router.add_get("/readyz", healthz)
    application.router.add_get("/metrics", exposition)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, port=port).start()
    return runner
