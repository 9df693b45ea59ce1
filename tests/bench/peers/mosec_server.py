# mypy: disable-error-code="import-not-found,misc,no-any-return"
"""mosec: a Rust web layer over worker processes; raw bytes in by overriding ``deserialize``."""

from __future__ import annotations

import os
from typing import Any

from mosec import Server, Worker

from bench.vision import models


class Picture(Worker):
    """One process with one model; mosec starts as many as it is told."""

    def __init__(self) -> None:
        super().__init__()
        self._model = models.from_environment()

    def deserialize(self, data: bytes) -> bytes:
        return data

    def forward(self, data: bytes) -> dict[str, Any]:
        return self._model.answer(data)


if __name__ == "__main__":
    server = Server()
    server.append_worker(Picture, num=int(os.environ["BENCH_WORKERS"]))
    server.run()
