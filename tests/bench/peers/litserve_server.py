# mypy: disable-error-code="import-not-found,misc,no-any-return"
"""LitServe: the picture as base64 JSON, as its own speed guide does; queues over ZeroMQ."""

from __future__ import annotations

import base64
import os
from typing import Any

import litserve

from bench.vision import models


class Picture(litserve.LitAPI):
    """One model in each worker process."""

    def setup(self, _device: str) -> None:
        self._model = models.from_environment()

    def decode_request(self, request: dict[str, str]) -> bytes:
        return base64.b64decode(request["image_data"])

    def predict(self, x: bytes) -> dict[str, Any]:
        return self._model.answer(x)

    def encode_response(self, output: dict[str, Any]) -> dict[str, Any]:
        return output


if __name__ == "__main__":
    server = litserve.LitServer(
        Picture(),
        accelerator="cpu",
        workers_per_device=int(os.environ["BENCH_WORKERS"]),
        fast_queue=True,
    )
    server.run(
        host="127.0.0.1",
        port=int(os.environ["BENCH_PORT"]),
        log_level="warning",
        generate_client_file=False,
    )
