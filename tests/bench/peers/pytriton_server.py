# mypy: disable-error-code="import-not-found,misc"
"""Triton through PyTriton: one inference callable for each core, the picture as a BYTES tensor."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from typing import Any

import numpy as np
from pytriton.model_config import ModelConfig, Tensor
from pytriton.triton import Triton, TritonConfig

from bench.vision import models


def callable_of(model: models.Model) -> Callable[[list[Any]], list[dict[str, Any]]]:
    """An inference callable over one model of its own."""

    def infer(requests: list[Any]) -> list[dict[str, Any]]:
        answers = [json.dumps(model.answer(request["picture"].flat[0])) for request in requests]
        return [{"answer": np.array([answer.encode()])} for answer in answers]

    return infer


if __name__ == "__main__":
    port = int(os.environ["BENCH_PORT"])
    config = TritonConfig(
        http_address="127.0.0.1",
        http_port=port,
        grpc_address="127.0.0.1",
        grpc_port=int(os.environ["BENCH_PORT_2"]),
        metrics_port=int(os.environ["BENCH_PORT_3"]),
        metrics_address="127.0.0.1",
    )
    with Triton(config=config) as triton:
        triton.bind(
            model_name="picture",
            infer_func=[
                callable_of(models.from_environment())
                for _ in range(int(os.environ["BENCH_WORKERS"]))
            ],
            inputs=[Tensor(name="picture", dtype=bytes, shape=(1,))],
            outputs=[Tensor(name="answer", dtype=bytes, shape=(1,))],
            config=ModelConfig(batching=False),
        )
        triton.serve()
