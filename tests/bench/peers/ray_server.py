# mypy: disable-error-code="import-not-found,misc,attr-defined,untyped-decorator,no-any-return"
"""Ray Serve: one replica for each core behind its HTTP proxy, raw bytes in.

The throughput options that its documentation gives for 2.56 and later come as environment
variables from the harness.
"""

from __future__ import annotations

import os
import signal
from typing import Any

import ray
from ray import serve
from starlette.requests import Request

from bench.vision import models

WORKERS = int(os.environ["BENCH_WORKERS"])


@serve.deployment(num_replicas=WORKERS, ray_actor_options={"num_cpus": 1})
class Picture:
    """One model in each replica."""

    def __init__(self) -> None:
        self._model = models.from_environment()

    async def __call__(self, request: Request) -> dict[str, Any]:
        return self._model.answer(await request.body())


if __name__ == "__main__":
    # The controller and the proxy ask for a share of a CPU of their own.
    ray.init(num_cpus=WORKERS + 2, include_dashboard=False, log_to_driver=False)
    serve.start(http_options={"host": "127.0.0.1", "port": int(os.environ["BENCH_PORT"])})
    serve.run(Picture.bind())
    signal.sigwait({signal.SIGTERM, signal.SIGINT})
    serve.shutdown()
    ray.shutdown()
