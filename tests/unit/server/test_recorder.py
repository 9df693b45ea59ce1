"""HTTP and gRPC count, log and name errors alike: the same request once over each."""

import base64
import logging
from collections.abc import Callable, Iterator
from typing import Any

import grpc
import pytest
from flask.testing import FlaskClient

from model_server.grpc import open_inference_pb2 as pb
from model_server.grpc.server import GrpcServer
from model_server.grpc.service import SERVICE
from model_server.logs import REQUEST_LOGGER
from model_server.models.base import Tensors
from model_server.serving.registry import Registry
from model_server.vision.inference import VisionModel
from support.tiny_models import BrightBoxDetector, MeanColourClassifier

from .conftest import Client

HTTP_INFER = "/v2/models/<model:name>/infer"
GRPC_INFER = f"/{SERVICE}/ModelInfer"


class Failing(MeanColourClassifier):
    """Answers its warm-up, then fails like a framework does."""

    def run(self, inputs: Tensors) -> Any:
        if self.batches:
            raise RuntimeError("a framework's own words, with a /path")
        return super().run(inputs)


class Both:
    """One application, asked over HTTP and over gRPC."""

    def __init__(self, http: FlaskClient, channel: grpc.Channel, log: pytest.LogCaptureFixture):
        self.http, self.channel, self._log = http, channel, log

    def over_http(self, model: str, picture: bytes, **headers: str) -> Any:
        data = base64.b64encode(picture).decode()
        item = {"name": "image", "datatype": "BYTES", "shape": [1], "data": [data]}
        return self.http.post(f"/v2/models/{model}/infer", json={"inputs": [item]}, headers=headers)

    def over_grpc(self, model: str, picture: bytes, **metadata: str) -> Any:
        request = pb.ModelInferRequest(model_name=model)
        item = request.inputs.add(name="image", datatype="BYTES", shape=[1])
        item.contents.bytes_contents.append(picture)
        return self.call("ModelInfer", request, **metadata)

    def call(self, method: str, request: Any, **metadata: str) -> Any:
        described = pb.DESCRIPTOR.services_by_name["GRPCInferenceService"].methods_by_name[method]
        answer = getattr(pb, described.output_type.name)
        unary = self.channel.unary_unary(
            f"/{SERVICE}/{method}",
            request_serializer=type(request).SerializeToString,
            response_deserializer=answer.FromString,
        )
        sent = tuple((key.replace("_", "-"), value) for key, value in metadata.items())
        return unary.with_call(request, timeout=60, metadata=sent)

    def metric(self, line: str) -> bool:
        return line in self.http.get("/metrics").text

    def lines(self) -> list[logging.LogRecord]:
        return [record for record in self._log.records if record.name == REQUEST_LOGGER]


@pytest.fixture
def both(client: Client, caplog: pytest.LogCaptureFixture) -> Iterator[Callable[..., Both]]:
    servers: list[GrpcServer] = []
    channels: list[grpc.Channel] = []

    def make(**models: Any) -> Both:
        caplog.set_level(logging.INFO)
        registry = Registry({name: VisionModel(name, model) for name, model in models.items()})
        http = client(registry)
        servers.append(GrpcServer(http.application.extensions["model_server"], "127.0.0.1", 0, 4))
        channels.append(grpc.insecure_channel(f"127.0.0.1:{servers[-1].port}"))
        return Both(http, channels[-1], caplog)

    yield make
    for channel in channels:
        channel.close()
    for server in servers:
        server.finish_stop(0)


def test_both_observe_the_size_of_batches(both: Callable[..., Both], picture: bytes) -> None:
    asked = both(lights=BrightBoxDetector())
    asked.over_grpc("lights", picture)
    assert asked.metric('model_server_batch_size_count{model="lights"} 1.0')
    assert asked.over_http("lights", picture).status_code == 200
    assert asked.metric('model_server_batch_size_count{model="lights"} 2.0')


def test_a_failure_inside_has_one_code_and_one_message(
    both: Callable[..., Both], picture: bytes
) -> None:
    asked = both(colours=Failing())
    answer = asked.over_http("colours", picture)
    with pytest.raises(grpc.RpcError) as caught:
        asked.over_grpc("colours", picture)
    assert (answer.status_code, caught.value.code()) == (500, grpc.StatusCode.INTERNAL)
    messages = [answer.get_json()["error"], caught.value.details()]
    for message, line in zip(messages, asked.lines(), strict=True):
        without = str(message).replace(line.request_id, "ID")  # type: ignore[attr-defined]
        assert without == "internal error; the server log has the details (request ID ID)"
    assert [line.error for line in asked.lines()] == ["InferenceFailed"] * 2  # type: ignore[attr-defined]
    for endpoint in (HTTP_INFER, GRPC_INFER):
        assert asked.metric(
            f'model_server_errors_total{{code="InferenceFailed",endpoint="{endpoint}"}} 1.0'
        )


@pytest.mark.parametrize(
    ("model", "picture_bytes", "code"),
    [("none", b"x", "UnknownModel"), ("lights", b"no picture", None)],
)
def test_an_error_of_the_client_has_one_code(
    both: Callable[..., Both], model: str, picture_bytes: bytes, code: str | None
) -> None:
    asked = both(lights=BrightBoxDetector())
    answer = asked.over_http(model, picture_bytes)
    with pytest.raises(grpc.RpcError) as caught:
        asked.over_grpc(model, picture_bytes)
    assert answer.get_json()["error"] == caught.value.details()
    one, other = (line.error for line in asked.lines())  # type: ignore[attr-defined]
    assert one == other == (code or answer.get_json()["code"])


@pytest.mark.parametrize("sent", ["my-own-id", "x" * 200, "with space", "<script>"])
def test_a_request_id_is_accepted_by_one_rule(
    both: Callable[..., Both], picture: bytes, sent: str
) -> None:
    asked = both(lights=BrightBoxDetector())
    over_http = asked.over_http("lights", picture, **{"X-Request-Id": sent})
    _, call = asked.over_grpc("lights", picture, x_request_id=sent)
    ids = (over_http.headers["X-Request-Id"], dict(call.trailing_metadata())["x-request-id"])
    assert [line.request_id for line in asked.lines()] == list(ids)  # type: ignore[attr-defined]
    for given in ids:
        assert (given == sent) is (sent == "my-own-id")


def test_the_log_lines_have_the_same_fields(both: Callable[..., Both], picture: bytes) -> None:
    asked = both(lights=BrightBoxDetector())
    asked.over_http("lights", picture)
    asked.over_grpc("lights", picture)
    over_http, over_grpc = (set(vars(line)) for line in asked.lines())
    assert over_http == over_grpc


def test_the_same_probes_are_quiet(both: Callable[..., Both]) -> None:
    asked = both(lights=BrightBoxDetector())
    asked.http.get("/v2/health/live")
    asked.http.get("/v2/health/ready")
    asked.call("ServerLive", pb.ServerLiveRequest())
    asked.call("ServerReady", pb.ServerReadyRequest())
    assert asked.lines() == []
    assert "model_server_requests_total{" not in asked.http.get("/metrics").text
    asked.http.get("/v2/models/lights")
    asked.call("ModelMetadata", pb.ModelMetadataRequest(name="lights"))
    asked.http.get("/v2/models/lights/ready")
    asked.call("ModelReady", pb.ModelReadyRequest(name="lights"))
    assert len(asked.lines()) == 4
