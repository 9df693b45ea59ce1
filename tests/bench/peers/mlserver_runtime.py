# mypy: disable-error-code="import-not-found,misc"
"""MLServer: a custom runtime behind Open Inference Protocol V2, the picture as base64."""

from __future__ import annotations

import json

from mlserver import MLModel
from mlserver.codecs import Base64Codec, StringCodec
from mlserver.types import InferenceRequest, InferenceResponse

from bench.vision import models


class Picture(MLModel):
    """One model in each of MLServer's parallel workers."""

    async def load(self) -> bool:
        self._model = models.from_environment()
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        picture = Base64Codec.decode_input(payload.inputs[0])[0]
        answer = json.dumps(self._model.answer(picture))
        return InferenceResponse(
            model_name=self.name, outputs=[StringCodec.encode_output("answer", [answer])]
        )
