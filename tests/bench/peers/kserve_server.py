# mypy: disable-error-code="import-not-found,misc"
"""The KServe Python server: a custom model behind the V1 protocol, as its image examples are.

Not V2: over REST, 0.21 decodes every binary BYTES tensor as UTF-8, which a picture is not, and a
UINT8 tensor becomes a Python list on the way, which costs twice the inference.
"""

from __future__ import annotations

import argparse
import base64
import os
from typing import Any

from kserve import Model, ModelServer, model_server

from bench.vision import models


class Picture(Model):
    """Loads in the constructor, as its documentation shows."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.load()

    def load(self) -> bool:
        self._model = models.from_environment()
        self.ready = True
        return True

    def predict(
        self, payload: dict[str, Any], _headers: dict[str, str] | None = None, **_: Any
    ) -> dict[str, Any]:
        picture = base64.b64decode(payload["instances"][0]["image"]["b64"])
        return {"predictions": [self._model.answer(picture)]}


if __name__ == "__main__":
    arguments = argparse.ArgumentParser(parents=[model_server.parser]).parse_args()
    ModelServer(
        workers=int(os.environ["BENCH_WORKERS"]), http_port=arguments.http_port, enable_grpc=False
    ).start([Picture("picture")])
