"""Which of the API server's figures an operator answers for."""

from __future__ import annotations

import asyncio

from bench.control.api import collection, parse_counts, written
from bench.control.measure import in_parallel
from bench.control.objects import KINDS, children, service

METRICS = """\
# TYPE apiserver_request_total counter
apiserver_request_total{code="200",resource="deployments",subresource="",verb="APPLY"} 3
apiserver_request_total{code="201",resource="deployments",subresource="",verb="APPLY"} 4
apiserver_request_total{code="200",resource="deployments",subresource="status",verb="PUT"} 50
apiserver_request_total{code="200",resource="deployments",subresource="",verb="WATCH"} 1
apiserver_request_total{code="200",resource="inferenceservices",subresource="status",verb="PATCH"} 7
apiserver_request_total{code="200",resource="leases",subresource="",verb="PUT"} 9
apiserver_request_total{code="201",resource="events",subresource="",verb="POST"} 9
other_total{code="200",resource="deployments",subresource="",verb="APPLY"} 100
"""


def test_requests_are_summed_over_their_codes() -> None:
    assert parse_counts(METRICS)["APPLY", "deployments", ""] == 7


def test_only_writes_to_the_resource_and_its_children_count() -> None:
    after = parse_counts(METRICS)
    assert written({}, after) == 14
    assert written(after, after) == 0


def test_children_are_those_of_the_operator_without_an_owner() -> None:
    built = list(children(7))
    assert tuple(child["kind"] for child in built) == KINDS
    assert "Deployment" in KINDS
    assert all("ownerReferences" not in child["metadata"] for child in built)
    assert all(child["metadata"]["namespace"] == "bench" for child in built)
    assert service(7)["metadata"]["name"] == "s00007"


def test_paths_are_the_api_servers() -> None:
    assert collection("Deployment", "bench") == "apis/apps/v1/namespaces/bench/deployments"
    assert collection("Service", "bench") == "api/v1/namespaces/bench/services"


def test_no_more_jobs_run_at_once_than_allowed() -> None:
    running, most, done = 0, 0, 0

    async def job() -> None:
        nonlocal running, most, done
        running += 1
        most = max(most, running)
        await asyncio.sleep(0)
        running -= 1
        done += 1

    asyncio.run(in_parallel((job for _ in range(20)), 3))
    assert (most, done) == (3, 20)
