"""The Open Inference Protocol over gRPC, with gRPC's own client against the real server."""

from __future__ import annotations

import io
import json
import signal
import socket
import threading
from collections.abc import Iterator
from functools import partial
from typing import Any

import grpc
import numpy as np
import pytest
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import Message
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import (
    ProtoReflectionDescriptorDatabase,
)
from PIL import Image

from model_server.grpc import open_inference_pb2 as pb
from support.model_server import (
    COCO,
    COCO_LABELS,
    DATA,
    IMAGENET,
    IMAGENET_LABELS,
    NO_DATA,
    RunningServer,
    model_server,
    server_command,
    server_environment,
    stop,
)
from support.poll import eventually

SERVICE = "inference.GRPCInferenceService"
needs_data = pytest.mark.skipif(not COCO.exists(), reason=NO_DATA)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Calls:
    """The protocol's methods on a channel."""

    def __init__(self, channel: grpc.Channel) -> None:
        self.channel = channel

    def __call__(self, method: str, request: Message, timeout: float = 60, **metadata: str) -> Any:
        described = pb.DESCRIPTOR.services_by_name["GRPCInferenceService"].methods_by_name[method]
        answer = getattr(pb, described.output_type.name)
        call = self.channel.unary_unary(
            f"/{SERVICE}/{method}",
            request_serializer=type(request).SerializeToString,
            response_deserializer=answer.FromString,
        )
        sent = tuple((key.replace("_", "-"), value) for key, value in metadata.items())
        return call(request, timeout=timeout, metadata=sent)


@pytest.fixture(scope="module")
def server() -> Iterator[tuple[RunningServer, int]]:
    port = free_port()
    with model_server(
        name="shapes", grpc_port=port, max_body_bytes=1_000_000, grpc_reflection="true"
    ) as running:
        yield running, port


@pytest.fixture
def calls(server: tuple[RunningServer, int]) -> Iterator[Calls]:
    with grpc.insecure_channel(f"127.0.0.1:{server[1]}") as channel:
        yield Calls(channel)


def png(size: tuple[int, int] = (64, 48)) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", size, (200, 30, 30)).save(buffer, "PNG")
    return buffer.getvalue()


def picture_request(*pictures: bytes, raw: bool = False, model: str = "shapes") -> Message:
    request = pb.ModelInferRequest(model_name=model, id="mine")
    item = request.inputs.add(name="image", datatype="BYTES", shape=[len(pictures)])
    if raw:
        parts = (len(data).to_bytes(4, "little") + data for data in pictures)
        request.raw_input_contents.append(b"".join(parts))
    else:
        item.contents.bytes_contents.extend(pictures)
    return request


def test_live_ready_and_metadata(calls: Calls) -> None:
    assert calls("ServerLive", pb.ServerLiveRequest()).live
    assert calls("ServerReady", pb.ServerReadyRequest()).ready
    assert calls("ModelReady", pb.ModelReadyRequest(name="shapes")).ready
    assert calls("ModelReady", pb.ModelReadyRequest(name="shapes", version="1")).ready
    server = calls("ServerMetadata", pb.ServerMetadataRequest())
    assert server.name == "model-server"
    assert "binary_tensor_data" in server.extensions
    model = calls("ModelMetadata", pb.ModelMetadataRequest(name="shapes"))
    assert (model.platform, list(model.versions)) == ("tensorflow_lite", ["1"])
    assert (model.inputs[0].datatype, model.inputs[0].shape[-1]) == ("UINT8", 3)
    assert "labels" in [output.name for output in model.outputs]
    index = calls("RepositoryIndex", pb.RepositoryIndexRequest())
    assert [(item.name, item.state) for item in index.models] == [("shapes", "READY")]


@pytest.mark.parametrize("raw", [False, True])
def test_a_picture(raw: bool, calls: Calls) -> None:
    answer = calls("ModelInfer", picture_request(png(), raw=raw))
    assert (answer.model_name, answer.model_version, answer.id) == ("shapes", "1", "mine")
    assert "labels" in [output.name for output in answer.outputs]
    assert bool(answer.raw_output_contents) is raw
    assert answer.outputs[0].HasField("contents") is not raw


def test_a_tensor_gives_the_same_raw_and_as_a_list(calls: Calls) -> None:
    spec = calls("ModelMetadata", pb.ModelMetadataRequest(name="shapes")).inputs[0]
    pixels = np.random.default_rng(1).integers(0, 256, list(spec.shape), dtype=np.uint8)
    raw = pb.ModelInferRequest(model_name="shapes", raw_input_contents=[pixels.tobytes()])
    raw.inputs.add(name=spec.name, datatype="UINT8", shape=spec.shape)
    typed = pb.ModelInferRequest(model_name="shapes")
    item = typed.inputs.add(name=spec.name, datatype="UINT8", shape=spec.shape)
    item.contents.uint_contents.extend(pixels.ravel().tolist())
    one, other = calls("ModelInfer", raw), calls("ModelInfer", typed)
    assert [output.name for output in one.outputs] == [output.name for output in other.outputs]
    for number, output in enumerate(other.outputs):
        if output.datatype == "FP32":
            values = np.frombuffer(one.raw_output_contents[number], "<f4")
            assert values.tolist() == list(output.contents.fp32_contents)


def test_only_the_outputs_that_are_wanted(calls: Calls) -> None:
    request = picture_request(png())
    request.outputs.add(name="labels")  # type: ignore[attr-defined]
    answer = calls("ModelInfer", request)
    assert [output.name for output in answer.outputs] == ["labels"]


def tensor(**changes: Any) -> Message:
    item: dict[str, Any] = {"name": "image", "datatype": "BYTES", "shape": [1]} | changes
    request = pb.ModelInferRequest(model_name="shapes")
    request.inputs.add(**item)
    return request


@pytest.mark.parametrize(
    ("request_", "status", "complaint"),
    [
        (pb.ModelInferRequest(model_name="none"), "NOT_FOUND", "unknown model 'none'"),
        (
            pb.ModelInferRequest(model_name="shapes", model_version="2"),
            "NOT_FOUND",
            "has no version '2'",
        ),
        (pb.ModelInferRequest(model_name="shapes"), "INVALID_ARGUMENT", "from 1 to 64 tensors"),
        (picture_request(b"no picture"), "INVALID_ARGUMENT", "picture"),
        (tensor(datatype="FP128"), "INVALID_ARGUMENT", "'FP128' is not one of"),
        # HTTP/2 would not carry all of it as the status's message.
        (tensor(datatype="x" * 100_000), "INVALID_ARGUMENT", "is not one of BOOL"),
        (tensor(datatype="FP128", name="x" * 100_000), "INVALID_ARGUMENT", "is not one of BOOL"),
        (pb.ModelInferRequest(model_name="x" * 100_000), "NOT_FOUND", "unknown model"),
        (tensor(datatype="FP16"), "INVALID_ARGUMENT", "needs raw_input_contents"),
        (tensor(shape=[2]), "INVALID_ARGUMENT", "needs 2 elements, but the data has 0"),
        (tensor(shape=[-1]), "INVALID_ARGUMENT", "shape must be"),
        (tensor(shape=[1 << 40]), "INVALID_ARGUMENT", "shape must be"),
        (
            tensor(datatype="UINT8", contents=pb.InferTensorContents(fp32_contents=[1])),
            "INVALID_ARGUMENT",
            "UINT8 values belong in uint_contents",
        ),
        (
            tensor(datatype="UINT8", contents=pb.InferTensorContents(uint_contents=[256])),
            "INVALID_ARGUMENT",
            "not a valid UINT8",
        ),
    ],
)
def test_what_is_wrong_is_said(
    request_: Message, status: str, complaint: str, calls: Calls
) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        calls("ModelInfer", request_)
    assert caught.value.code().name == status
    assert complaint in (caught.value.details() or "")
    assert calls("ServerLive", pb.ServerLiveRequest()).live


def test_more_bytes_than_allowed(calls: Calls) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        calls("ModelInfer", picture_request(b"x" * 1_100_000))
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


def test_the_clients_deadline_is_kept(calls: Calls) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        calls("ModelInfer", picture_request(png((3000, 3000))), timeout=0.001)
    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED


def test_the_requests_id_comes_back_and_is_in_the_log(
    server: tuple[RunningServer, int], calls: Calls
) -> None:
    trace = "0af7651916cd43dd8448eb211c80319c"
    header = f"00-{trace}-b7ad6b7169203331-01"
    calls("ModelInfer", picture_request(png()), x_request_id="my-own-id", traceparent=header)
    line = eventually(
        lambda: next(
            (line for line in server[0].log if line.get("request_id") == "my-own-id"), None
        ),
        "the log line of the call",
    )
    assert (line["status"], line["model"]) == ("OK", "shapes")
    assert line["trace_id"] == trace
    assert "inference" in line["stages_ms"]


def test_calls_are_counted(server: tuple[RunningServer, int], calls: Calls) -> None:
    calls("ModelInfer", picture_request(png()))
    page = server[0].request("/metrics").body.decode()
    endpoint = f'endpoint="/{SERVICE}/ModelInfer",model="shapes",status="OK"'
    assert f"model_server_requests_total{{{endpoint}}}" in page


def test_health(calls: Calls) -> None:
    stub: Any = health_pb2_grpc.HealthStub(calls.channel)
    for name in ("", SERVICE, "shapes"):
        answer = stub.Check(health_pb2.HealthCheckRequest(service=name), timeout=60)
        assert answer.status == health_pb2.HealthCheckResponse.SERVING
    with pytest.raises(grpc.RpcError) as caught:
        stub.Check(health_pb2.HealthCheckRequest(service="none"), timeout=60)
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND


def test_reflection(calls: Calls) -> None:
    database = ProtoReflectionDescriptorDatabase(calls.channel)
    assert SERVICE in database.get_services()
    found = DescriptorPool(database).FindServiceByName(SERVICE)
    assert "ModelInfer" in [method.name for method in found.methods]


def test_clients_that_watch_for_ever_keep_nobody_out(
    server: tuple[RunningServer, int], calls: Calls
) -> None:
    """More of them than the server takes calls at the same time."""
    with grpc.insecure_channel(f"127.0.0.1:{server[1]}") as channel:
        stub: Any = health_pb2_grpc.HealthStub(channel)  # its stubs do not know Watch
        watches = [stub.Watch(health_pb2.HealthCheckRequest()) for _ in range(150)]
        codes = []
        for watch in watches:
            try:
                next(watch)
            except grpc.RpcError as error:
                codes.append(error.code())
        assert len(codes) == 150 - 16
        assert set(codes) <= {grpc.StatusCode.RESOURCE_EXHAUSTED}
        assert calls("ServerLive", pb.ServerLiveRequest()).live
        for watch in watches:
            watch.cancel()
        # Their places are free again.
        again = eventually(lambda: first_status(stub), "a place to watch", 60)
        assert again == health_pb2.HealthCheckResponse.SERVING


def first_status(stub: Any) -> int:
    watch = stub.Watch(health_pb2.HealthCheckRequest())
    try:
        return int(next(watch).status)
    except grpc.RpcError:
        return 0
    finally:
        watch.cancel()


def test_reflection_is_for_whoever_asks_for_it() -> None:
    port = free_port()
    with (
        model_server(name="shapes", grpc_port=port),
        grpc.insecure_channel(f"127.0.0.1:{port}") as channel,
        pytest.raises(grpc.RpcError) as caught,
    ):
        ProtoReflectionDescriptorDatabase(channel).get_services()
    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED


def test_a_port_that_is_taken_is_named() -> None:
    import subprocess  # noqa: PLC0415 - only here

    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = subprocess.run(
            server_command(host="127.0.0.1", port=0, grpc_port=port),
            env=server_environment(),
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
    assert done.returncode == 2
    assert f"InvalidSettings: --host and --grpc-port: cannot listen on 127.0.0.1 port {port}" in (
        done.stderr
    )


def test_stopping_loses_no_call() -> None:
    """Calls that are in progress when the order to stop comes are answered; a watcher is not
    waited for."""
    port = free_port()
    with model_server(grpc_port=port, name="shapes", drain_seconds=30) as running:
        statuses: list[str] = []
        begun = threading.Barrier(9)
        # Made before: it takes so long that the calls would come after the order to stop.
        request = picture_request(png((1200, 900)))

        def infer() -> None:
            with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
                grpc.channel_ready_future(channel).result(60)
                begun.wait(60)
                try:
                    Calls(channel)("ModelInfer", request)
                    statuses.append("OK")
                except grpc.RpcError as error:
                    statuses.append(error.code().name)

        threads = [threading.Thread(target=infer) for _ in range(8)]
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            stub: Any = health_pb2_grpc.HealthStub(channel)
            watching = stub.Watch(health_pb2.HealthCheckRequest())
            assert next(watching).status == health_pb2.HealthCheckResponse.SERVING
            for thread in threads:
                thread.start()
            begun.wait(60)
            before = running.request("/metrics").body
            assert before
            running.process.send_signal(signal.SIGTERM)
            assert next(watching).status == health_pb2.HealthCheckResponse.NOT_SERVING
            for thread in threads:
                thread.join(60)
            assert stop(running.process) == 0
            watching.cancel()
    # A call that had not arrived yet is told to go elsewhere; none is cut off.
    assert set(statuses) <= {"OK", "UNAVAILABLE"}
    assert "OK" in statuses
    assert len(statuses) == 8


# A server that stops cancels calls that have come in and that it has not looked at yet (grpcio has
# one request for a call outstanding at a time); clients repeat these, as their configuration says.
REPEATED = {
    "maxAttempts": 4,
    "initialBackoff": "0.05s",
    "maxBackoff": "0.5s",
    "backoffMultiplier": 2,
    "retryableStatusCodes": ["CANCELLED"],
}
SERVICE_CONFIG = json.dumps({"methodConfig": [{"name": [{}], "retryPolicy": REPEATED}]})


class Callers:
    """Callers that call without a pause: three on a channel each, two on new ones every time."""

    def __init__(self, port: int) -> None:
        self._address = f"127.0.0.1:{port}"
        self._stop = threading.Event()
        self.statuses: list[str] = []
        keeps = (True, True, True, False, False)
        self._threads = [threading.Thread(target=self._run, args=(keep,)) for keep in keeps]
        for thread in self._threads:
            thread.start()

    def _run(self, keep: bool) -> None:
        request = picture_request(png((200, 160)))
        while not self._stop.is_set():
            # Connections are not to be shared between channels of this process.
            options = [
                ("grpc.use_local_subchannel_pool", 1),
                ("grpc.service_config", SERVICE_CONFIG),
            ]
            with grpc.insecure_channel(self._address, options) as channel:
                while not self._stop.is_set():
                    try:
                        Calls(channel)("ModelInfer", request)
                        self.statuses.append("OK")
                    except grpc.RpcError as error:
                        self.statuses.append(f"{error.code().name}: {error.details()}")
                    if not keep:
                        break

    def answered(self, count: int) -> bool:
        return len(self.statuses) >= count

    def finish(self) -> set[str]:
        self._stop.set()
        for thread in self._threads:
            thread.join(90)
        return set(self.statuses)


def replaced(running: RunningServer, before: set[int]) -> bool:
    return not before & set(running.workers())


@pytest.mark.parametrize("workers", [1, 2])
def test_a_rolling_restart_loses_no_call(workers: int) -> None:
    port = free_port()
    with model_server(grpc_port=port, name="shapes", workers=workers) as running:
        callers = Callers(port)
        for _ in range(2):
            before = set(running.workers())
            running.process.send_signal(signal.SIGHUP)
            eventually(partial(replaced, running, before), "new workers", 120)
            answered = len(callers.statuses)
            eventually(partial(callers.answered, answered + 20), "they answer", 60)
        assert callers.finish() == {"OK"}


# RFC 9113: the client's connection preface, with an empty SETTINGS frame (section 3.4).
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])


def introduced(port: int) -> str:
    """Connects anew; SETTINGS when the server has taken the connection, else what happened."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
            connection.sendall(PREFACE)
            return "SETTINGS" if connection.recv(9) else "closed"
    except OSError as error:
        return type(error).__name__


def test_a_rolling_restart_loses_no_connection() -> None:
    port, ended, seen = free_port(), threading.Event(), set()

    def knock() -> None:
        while not ended.is_set():
            seen.add(introduced(port))

    with model_server(grpc_port=port, name="shapes", workers=2) as running:
        threads = [threading.Thread(target=knock) for _ in range(6)]
        for thread in threads:
            thread.start()
        try:
            for _ in range(3):
                before = set(running.workers())
                running.process.send_signal(signal.SIGHUP)
                eventually(partial(replaced, running, before), "new workers", 120)
        finally:
            ended.set()
            for thread in threads:
                thread.join(60)
    assert seen == {"SETTINGS"}


@needs_data
@pytest.mark.real_data
def test_a_real_classifier_with_triton_classification() -> None:
    port = free_port()
    with (
        model_server(model=IMAGENET, labels=IMAGENET_LABELS, name="birds", grpc_port=port),
        grpc.insecure_channel(f"127.0.0.1:{port}") as channel,
    ):
        calls = Calls(channel)
        output = calls("ModelMetadata", pb.ModelMetadataRequest(name="birds")).outputs[0].name
        request = picture_request((DATA / "parrot.jpg").read_bytes(), model="birds")
        wanted = request.outputs.add(name=output)  # type: ignore[attr-defined]
        wanted.parameters["classification"].int64_param = 2
        answer = calls("ModelInfer", request)
        best = answer.outputs[0].contents.bytes_contents[0].decode()
        assert best.endswith(":macaw")


@needs_data
@pytest.mark.real_data
def test_a_real_detector() -> None:
    port = free_port()
    with (
        model_server(model=COCO, labels=COCO_LABELS, name="coco", grpc_port=port),
        grpc.insecure_channel(f"127.0.0.1:{port}") as channel,
    ):
        request = picture_request((DATA / "cat_720p.jpg").read_bytes(), model="coco")
        answer = Calls(channel)("ModelInfer", request)
        labels = next(output for output in answer.outputs if output.name == "labels")
        assert labels.contents.bytes_contents[0] == b"cat"
