"""The methods of the Open Inference Protocol service, from request to response message."""

from typing import Any

from google.protobuf.message import Message

from model_server import __version__
from model_server.grpc import codec
from model_server.grpc import open_inference_pb2 as messages
from model_server.protocols import v2
from model_server.request.context import RequestContext
from model_server.serving.state import State
from model_server.vision.inference import VisionModel

SERVICE = messages.DESCRIPTOR.services_by_name["GRPCInferenceService"].full_name


class InferenceService:
    """The protocol's methods in snake case. They raise `RequestError` for client errors."""

    def __init__(self, state: State) -> None:
        self._state = state

    def server_live(self, _request: Any, _context: RequestContext) -> Message:
        """Liveness of the process."""
        return messages.ServerLiveResponse(live=True)

    def server_ready(self, _request: Any, _context: RequestContext) -> Message:
        """Readiness: a worker listens only when its models are ready."""
        return messages.ServerReadyResponse(ready=True)

    def model_ready(self, request: messages.ModelReadyRequest, _context: RequestContext) -> Message:
        """Readiness of a model."""
        self._model(request.name, request.version)
        return messages.ModelReadyResponse(ready=True)

    def server_metadata(self, _request: Any, _context: RequestContext) -> Message:
        """Name, version and extensions of the server."""
        return messages.ServerMetadataResponse(
            name="model-server", version=__version__, extensions=v2.EXTENSIONS
        )

    def model_metadata(
        self, request: messages.ModelMetadataRequest, _context: RequestContext
    ) -> Message:
        """A model's inputs and outputs."""
        model = self._model(request.name, request.version)
        return codec.encode_metadata(v2.metadata(model))

    def repository_index(self, _request: Any, _context: RequestContext) -> Message:
        """All models with their state (Triton's extension)."""
        answer = messages.RepositoryIndexResponse()
        for item in v2.repository_index(self._state.registry):
            answer.models.add(**item)
        return answer

    def model_infer(self, request: messages.ModelInferRequest, context: RequestContext) -> Message:
        """Runs a model on tensors or pictures."""
        model = self._model(request.model_name, request.model_version)
        most = self._state.settings.max_instances
        size = request.ByteSize()
        self._state.bodies.reserve(size)
        try:
            parsed = codec.parse_request(request, most)
            with self._state.gate.admit(context):
                response = v2.infer(model, parsed, most, context)
            with context.stage("encode"):
                return codec.encode_response(response, v2.VERSION, raw=parsed.binary)
        finally:
            self._state.bodies.release(size)

    def _model(self, name: str, version: str) -> VisionModel:
        return v2.find_model(self._state.registry, name, version)
