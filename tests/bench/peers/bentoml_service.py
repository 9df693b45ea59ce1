# mypy: disable-error-code="import-not-found,misc,untyped-decorator"
"""BentoML: a service with one worker for each core, the picture as the request's body.

No ``from __future__ import annotations`` here: BentoML reads the signature's types at run time.
"""

import os
from pathlib import Path
from typing import Annotated, Any

import bentoml
from bentoml.validators import ContentType

from bench.vision import models


@bentoml.service(workers=int(os.environ["BENCH_WORKERS"]), traffic={"timeout": 60})
class Picture:
    """One model in each worker process."""

    def __init__(self) -> None:
        self._model = models.from_environment()

    @bentoml.api(route="/predict")
    def predict(self, picture: Annotated[Path, ContentType("image/jpeg")], /) -> dict[str, Any]:
        return self._model.answer(picture.read_bytes())
