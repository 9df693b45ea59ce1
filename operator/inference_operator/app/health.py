"""The operator's HTTP endpoints: /healthz, /readyz and /metrics.

Alive means that the event loop runs and no worker has died. Ready means that the operator also sees
the cluster and keeps up with it; if not, the response says why. A standby replica is alive and
ready as well, so that it can take over.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from aiohttp import web
from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.process_collector import ProcessCollector

from inference_operator.app.sight import Sight
from inference_operator.kubernetes.client import ApiClient
from inference_operator.reconcile.loop import Loop

METRICS = {
    "inference_operator_services": "InferenceServices that the operator knows.",
    "inference_operator_queue_depth": "InferenceServices that wait to be reconciled.",
    "inference_operator_leader": "1 on the replica that works, 0 on the others.",
    "inference_operator_reconciles_total": "Passes over an InferenceService.",
    "inference_operator_reconcile_failures_total": "Passes that failed and are tried again.",
    "inference_operator_api_calls_total": "Calls to the API server, by what and how they ended.",
    "inference_operator_api_connection_errors_total": "Calls and watches of the API server that "
    "got no answer or lost their connection.",
    "inference_operator_status_contests_total": "Statuses that somebody else kept replacing, as a "
    "second installation with other settings does.",
    "inference_operator_watch_age_seconds": "Seconds since the API server last sent anything on "
    "the watch of a kind; of several the most silent one. It sends something every minute.",
    "inference_operator_watch_restarts_total": "Watches of a kind that broke and were begun anew.",
    "inference_operator_resync_age_seconds": "Seconds since everything was last listed.",
    "inference_operator_queue_age_seconds": "Seconds that the InferenceService which has waited "
    "longest has been due; 0 when none is.",
    "inference_operator_service_ready": "1 for an InferenceService whose condition Ready is True, "
    "else 0, with the reason; reasons beyond the first 64 different ones are called Other.",
}
MAXIMUM_REASONS = 64
OTHER = "Other"


class Reasons:
    """A bounded set of label values: reasons can come from untrusted containers."""

    def __init__(self, most: int = MAXIMUM_REASONS) -> None:
        self._most = most
        self._known: set[str] = set()

    def label(self, reason: str) -> str:
        """Return the reason, or `Other` once there have been too many different ones."""
        if reason and reason not in self._known:
            if len(self._known) >= self._most:
                return OTHER
            self._known.add(reason)
        return reason


class Metrics:
    """The operator's metrics, read at scrape time; a prometheus_client collector.

    Args:
        loop: The control loop.
        client: The API server.
        sight: Reports how recent the view of the cluster is.
    """

    def __init__(self, loop: Loop, client: ApiClient, sight: Sight) -> None:
        self._loop = loop
        self._client = client
        self._reasons = Reasons()
        self.sight = sight

    def collect(self) -> Iterator[Metric]:
        """Yield all metrics."""
        loop = self._loop
        yield from _gauges(
            {
                "services": len(loop.store),
                "queue_depth": len(loop.queue),
                "queue_age_seconds": self.sight.queue_age_s(),
                "leader": int(loop.active.is_set()),
                "resync_age_seconds": self.sight.resync_age_s(),
            }
        )
        yield from _counters(
            {
                "reconciles_total": loop.reconciled,
                "reconcile_failures_total": loop.failed,
                "api_connection_errors_total": self._client.connection_errors,
                "status_contests_total": loop.contests,
            }
        )
        name = "inference_operator_api_calls_total"
        calls = CounterMetricFamily(name, METRICS[name], labels=["method", "resource", "code"])
        for (method, resource, code), count in list(self._client.calls.items()):
            calls.add_metric([method, resource, str(code)], count)
        yield calls
        yield from self._watches()
        yield self._services()

    def _watches(self) -> Iterator[Metric]:
        name = "inference_operator_watch_age_seconds"
        ages = GaugeMetricFamily(name, METRICS[name], labels=["kind"])
        for kind, age in self.sight.watch_ages_s().items():
            ages.add_metric([kind], age)
        yield ages
        name = "inference_operator_watch_restarts_total"
        restarts = CounterMetricFamily(name, METRICS[name], labels=["kind"])
        for kind, count in self.sight.restarts().items():
            restarts.add_metric([kind], count)
        yield restarts

    def _services(self) -> Metric:
        """Build one sample per service; the number of distinct reasons is bounded."""
        name = "inference_operator_service_ready"
        ready = GaugeMetricFamily(name, METRICS[name], labels=["namespace", "name", "reason"])
        for (namespace, service), status, reason in self._loop.store.readiness():
            labels = [namespace, service, self._reasons.label(reason)]
            ready.add_metric(labels, float(status == "True"))
        return ready


def _gauges(values: Mapping[str, float]) -> Iterator[Metric]:
    for short, value in values.items():
        name = f"inference_operator_{short}"
        yield GaugeMetricFamily(name, METRICS[name], value=value)


def _counters(values: Mapping[str, float]) -> Iterator[Metric]:
    for short, value in values.items():
        name = f"inference_operator_{short}"
        yield CounterMetricFamily(name, METRICS[name], value=value)


async def serve(metrics: Metrics, port: int, alive: Callable[[], bool]) -> web.AppRunner:
    """Listen on `port` on all addresses until the runner is cleaned up."""
    registry = CollectorRegistry()
    registry.register(metrics)
    ProcessCollector(registry=registry)

    async def healthz(_: web.Request) -> web.Response:
        fine = alive()
        return web.Response(text="ok" if fine else "a worker died", status=200 if fine else 500)

    async def readyz(request: web.Request) -> web.Response:
        problems = metrics.sight.problems()
        if not problems or not alive():
            return await healthz(request)
        return web.Response(text="\n".join(problems), status=503)

    async def exposition(_: web.Request) -> web.Response:
        body = generate_latest(registry)
        return web.Response(body=body, headers={"Content-Type": CONTENT_TYPE_LATEST})

    application = web.Application()
    application.router.add_get("/healthz", healthz)
    application.router.add_get("/readyz", readyz)
    application.router.add_get("/metrics", exposition)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, port=port).start()
    return runner
