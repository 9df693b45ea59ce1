"""The operator's HTTP endpoints: /healthz, /readyz and /metrics.

Alive means that the event loop runs and no worker has died; ready, that the first listing is
complete. Both also hold for a replica that does not lead, because it can take over.
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
    "inference_operator_services": "Number of InferenceServices.",
    "inference_operator_queue_depth": "Number of InferenceServices waiting to be reconciled.",
    "inference_operator_leader": "1 on the replica that leads, 0 on the others.",
    "inference_operator_reconciles_total": "Reconciles of InferenceServices.",
    "inference_operator_reconcile_failures_total": "Reconciles that failed and will be retried.",
    "inference_operator_api_calls_total": "API requests by method, resource and status code.",
}


class Metrics:
    """A collector of prometheus_client that reads the operator's metrics when they are scraped."""

    def __init__(self, loop: Loop, client: ApiClient) -> None:
        self._loop = loop
        self._client = client

    def collect(self) -> Iterator[Metric]:
        """All metrics."""
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
