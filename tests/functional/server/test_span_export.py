"""Spans of a real server process, as an OTLP collector on loopback gets them."""

import io
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import grpc
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from PIL import Image

from model_server.grpc import open_inference_pb2 as pb
from support.model_server import RunningServer, model_server, stop
from support.poll import eventually

METHOD = "inference.GRPCInferenceService/ModelInfer"
TRACE, CALLER = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
TRACEPARENT = f"00-{TRACE}-{CALLER}-01"
STAGES = ["queue", "decode", "preprocess", "inference"]
# Only a full queue or the end of the process sends spans.
ONLY_AT_THE_END = {"OTEL_BSP_SCHEDULE_DELAY": "3600000"}
AT_ONCE = {"OTEL_BSP_SCHEDULE_DELAY": "50"}


class Collector:
    """What has come in: pairs of a resource's attributes and a span."""

    def __init__(self) -> None:
        self.paths: set[str] = set()
        self.found: list[tuple[dict[str, Any], Span]] = []
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                sent = ExportTraceServiceRequest()
                sent.ParseFromString(self.rfile.read(int(self.headers["Content-Length"])))
                collector.paths.add(self.path)
                for group in sent.resource_spans:
                    resource = plain(group.resource.attributes)
                    for scope in group.scope_spans:
                        collector.found += [(resource, span) for span in scope.spans]
                body = ExportTraceServiceResponse().SerializeToString()
                self.send_response(200)
                self.send_header("Content-Type", "application/x-protobuf")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.server.server_port}"

    def servers(self) -> list[tuple[dict[str, Any], Span]]:
        """The spans of requests, with their resources."""
        return [item for item in self.found if item[1].kind == Span.SPAN_KIND_SERVER]

    def children(self, parent: Span) -> list[str]:
        """Names of the spans below one, by their beginning."""
        found = [span for _, span in self.found if span.parent_span_id == parent.span_id]
        return [span.name for span in sorted(found, key=lambda span: span.start_time_unix_nano)]


def plain(attributes: Any) -> dict[str, Any]:
    def value(item: KeyValue) -> Any:
        return getattr(item.value, item.value.WhichOneof("value") or "string_value")

    return {item.key: value(item) for item in attributes}


@pytest.fixture
def collector() -> Iterator[Collector]:
    made = Collector()
    thread = threading.Thread(target=made.server.serve_forever)
    thread.start()
    try:
        yield made
    finally:
        made.server.shutdown()
        made.server.server_close()
        thread.join()


@contextmanager
def traced_server(
    address: str, *variables: dict[str, str], **settings: object
) -> Iterator[RunningServer]:
    environment = {"OTEL_EXPORTER_OTLP_ENDPOINT": address, "OTEL_SERVICE_NAME": "shapes-service"}
    for more in variables:
        environment |= more
    with model_server(environment, name="shapes", **settings) as server:
        yield server


def picture() -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (64, 48), (200, 30, 30)).save(buffer, "PNG")
    return buffer.getvalue()


def infer_over_grpc(port: int) -> None:
    request = pb.ModelInferRequest(model_name="shapes")
    item = request.inputs.add(name="image", datatype="BYTES", shape=[1])
    item.contents.bytes_contents.append(picture())
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        call = channel.unary_unary(
            f"/{METHOD}",
            request_serializer=pb.ModelInferRequest.SerializeToString,
            response_deserializer=pb.ModelInferResponse.FromString,
        )
        call(request, timeout=60, metadata=(("traceparent", TRACEPARENT),), wait_for_ready=True)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_requests_over_http_and_grpc_are_spans_of_the_callers_trace(collector: Collector) -> None:
    port = free_port()
    with traced_server(collector.address, AT_ONCE, grpc_port=port) as server:
        path = "/v1/models/shapes:predict"
        answer = server.post(path, picture(), "image/png", traceparent=TRACEPARENT)
        assert answer.status == 200, answer.body
        infer_over_grpc(port)
        eventually(lambda: len(collector.servers()) == 2, "both spans")
        assert stop(server.process) == 0
        logged = {line["span_id"]: line for line in server.log if "span_id" in line}
    assert collector.paths == {"/v1/traces"}
    spans = {span.name: span for _, span in collector.servers()}
    http, call = spans.pop("POST /v1/models/<model:name>:predict"), spans.pop(METHOD)
    for span in (http, call):
        assert (span.trace_id.hex(), span.parent_span_id.hex()) == (TRACE, CALLER)
        assert logged[span.span_id.hex()]["trace_id"] == TRACE
        assert plain(span.attributes)["model_server.model"] == "shapes"
        assert [name for name in collector.children(span) if name in STAGES] == STAGES
    assert plain(http.attributes)["http.response.status_code"] == 200
    assert plain(call.attributes)["rpc.response.status_code"] == "OK"
    resource = collector.found[0][0]
    assert (resource["service.name"], "service.version" in resource) == ("shapes-service", True)


def test_each_worker_sends_its_spans_and_the_last_ones_before_it_ends(
    collector: Collector,
) -> None:
    with traced_server(collector.address, ONLY_AT_THE_END, workers=2) as server:
        workers = set(server.workers())
        ids: set[str] = set()
        # All at once, each on a connection of its own, so that both workers get some.
        clients = [threading.Thread(target=lambda: ids.add(one(server))) for _ in range(40)]
        for thread in clients:
            thread.start()
        for thread in clients:
            thread.join()
        assert len(ids) == 40
        assert collector.found == []
        assert stop(server.process) == 0
    sent = {plain(span.attributes)["model_server.request_id"] for _, span in collector.servers()}
    assert sent == ids
    senders = {resource["process.pid"] for resource, _ in collector.found}
    assert senders <= workers
    assert server.process.pid not in senders


def one(server: RunningServer) -> str:
    answer = server.post("/v1/models/shapes:predict", picture(), "image/png")
    assert answer.status == 200, answer.body
    return answer.headers["X-Request-Id"]


@contextmanager
def mute_collector() -> Iterator[str]:
    """Takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0), backlog=128) as listener:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


@contextmanager
def no_collector() -> Iterator[str]:
    yield f"http://127.0.0.1:{free_port()}"


@pytest.mark.parametrize("broken", [mute_collector, no_collector])
def test_a_broken_collector_disturbs_neither_requests_nor_the_log_nor_the_end(broken: Any) -> None:
    small = {"OTEL_BSP_MAX_QUEUE_SIZE": "8", "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "1"}
    short = {"OTEL_EXPORTER_OTLP_TIMEOUT": "1"}
    with broken() as address, traced_server(address, AT_ONCE, small, short) as server:
        for _ in range(20):  # of six spans each: far more than the queue holds
            one(server)
        told = eventually(
            lambda: [line for line in server.log if "opentelemetry" in line["message"]],
            "a line that says what is wrong",
        )
        assert len(told) == 1
        assert told[0]["severity"] in {"WARNING", "ERROR"}
        server.process.send_signal(signal.SIGTERM)
        assert stop(server.process) == 0
        assert not any("SIGKILL" in str(line) for line in server.log)
        assert not any("traceback" in line for line in server.log)


def test_a_sampler_of_the_environment_is_obeyed(collector: Collector) -> None:
    with traced_server(collector.address, {"OTEL_TRACES_SAMPLER": "always_off"}) as server:
        one(server)
        assert stop(server.process) == 0
        assert [line for line in server.log if "span_id" in line] == []
    assert collector.found == []


def test_a_wrong_protocol_is_named_and_the_models_are_served(collector: Collector) -> None:
    protocol = {"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}
    with traced_server(collector.address, protocol) as server:
        one(server)
        messages = [line["message"] for line in server.log]
    assert any("tracing is off: OTEL_EXPORTER_OTLP_PROTOCOL=grpc" in m for m in messages)
    assert collector.found == []
