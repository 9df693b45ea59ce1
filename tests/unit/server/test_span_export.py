"""The spans of requests, as the SDK of OpenTelemetry would export them."""

import base64
import logging
import math
from typing import Any

import pytest
from flask.testing import FlaskClient
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, DEFAULT_ON, Sampler
from opentelemetry.trace import SpanKind, StatusCode

from model_server.http.app import create_app
from model_server.logs import REQUEST_LOGGER, limit_lines
from model_server.request.context import RequestContext, Timeline
from model_server.request.finished import FinishedRequest
from model_server.request.spans import SpanExport
from model_server.serving.registry import Registry
from model_server.settings import load_settings
from model_server.vision.inference import VisionModel
from support.tiny_models import BrightBoxDetector

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
RULE = "/v1/models/<model:name>:predict"


class Traced:
    """A client of an application whose spans stay in memory."""

    def __init__(self, sampler: Sampler = DEFAULT_ON) -> None:
        self.memory = InMemorySpanExporter()
        provider = TracerProvider(sampler, Resource({}), shutdown_on_exit=False)
        provider.add_span_processor(SimpleSpanProcessor(self.memory))
        self.spans = SpanExport(provider)

    def client(self) -> FlaskClient:
        registry = Registry({"lights": VisionModel("lights", BrightBoxDetector())})
        return create_app(load_settings(), registry, self.spans).test_client()

    def one(self) -> tuple[ReadableSpan, list[ReadableSpan]]:
        """The only server span, and its children by their beginning."""
        spans = self.memory.get_finished_spans()
        (server,) = [span for span in spans if span.kind is SpanKind.SERVER]
        children = [span for span in spans if span is not server]
        assert all(child.parent == server.get_span_context() for child in children)
        return server, sorted(children, key=lambda span: span.start_time or 0)


def finished(context: RequestContext, headers: dict[str, str]) -> FinishedRequest:
    """A POST that took a while."""
    return FinishedRequest(
        endpoint="/predict",
        line="POST /predict 200",
        status=200,
        error="",
        server_fault=False,
        request_bytes=0,
        response_bytes=0,
        headers=headers,
        span_name="POST",
        attributes={},
        started=0,
        seconds=math.pi,
        context=context,
    )


def attributes(span: ReadableSpan) -> dict[str, Any]:
    return dict(span.attributes or {})


def test_a_request_is_a_server_span_and_its_stages_are_the_children(picture: bytes) -> None:
    traced = Traced()
    answer = traced.client().post(
        "/v1/models/lights:predict", data=picture, content_type="image/png"
    )
    assert answer.status_code == 200
    server, stages = traced.one()
    assert server.name == "POST /v1/models/<model:name>:predict"
    found = attributes(server)
    assert found.pop("http.response.body.size") == len(answer.data)
    assert found == {
        "http.request.method": "POST",
        "http.route": "/v1/models/<model:name>:predict",
        "http.response.status_code": 200,
        "http.request.body.size": len(picture),
        "url.path": "/v1/models/lights:predict",
        "url.scheme": "http",
        "model_server.model": "lights",
        "model_server.batch_size": 1,
        "model_server.request_id": answer.headers["X-Request-Id"],
    }
    assert [stage.name for stage in stages] == [
        "queue", "decode", "preprocess", "inference", "postprocess",
    ]  # fmt: skip
    moments = [server.start_time or 0]
    for stage in stages:
        moments += [stage.start_time or 0, stage.end_time or 0]
        busy = attributes(stage)["model_server.busy_seconds"]
        assert 0 <= busy <= ((stage.end_time or 0) - (stage.start_time or 0) + 2) / 1e9
    assert moments == sorted(moments)
    assert moments[-1] <= (server.end_time or 0)


def test_the_callers_trace_goes_on_and_the_log_line_names_the_span(
    caplog: pytest.LogCaptureFixture,
) -> None:
    traced = Traced()
    headers = {"traceparent": f"00-{TRACE}-{SPAN}-01", "tracestate": "vendor=opaque"}
    with caplog.at_level(logging.INFO, REQUEST_LOGGER):
        traced.client().get("/v1/models", headers=headers)
    server, _ = traced.one()
    context, parent = server.get_span_context(), server.parent
    assert context
    assert parent
    assert (f"{context.trace_id:032x}", f"{parent.span_id:016x}") == (TRACE, SPAN)
    assert context.trace_state["vendor"] == "opaque"
    (line,) = [vars(item) for item in caplog.records if item.name == REQUEST_LOGGER]
    ids = (line["trace_id"], line["parent_span_id"], line["span_id"])
    assert ids == (TRACE, SPAN, f"{context.span_id:016x}")


def test_without_a_caller_the_log_line_names_the_trace_that_begins(
    caplog: pytest.LogCaptureFixture,
) -> None:
    traced = Traced()
    with caplog.at_level(logging.INFO, REQUEST_LOGGER):
        traced.client().get("/v1/models", headers={"traceparent": "nonsense"})
    server, _ = traced.one()
    context = server.get_span_context()
    assert context
    assert server.parent is None
    (line,) = [vars(item) for item in caplog.records if item.name == REQUEST_LOGGER]
    assert line["trace_id"] == f"{context.trace_id:032x}"
    assert "parent_span_id" not in line


@pytest.mark.parametrize(
    ("sampler", "flags"), [(ALWAYS_OFF, "01"), (DEFAULT_ON, "00")], ids=["off", "caller_says_no"]
)
def test_what_is_not_sampled_leaves_no_span(sampler: Sampler, flags: str) -> None:
    traced = Traced(sampler)
    header = f"00-{TRACE}-{SPAN}-{flags}"
    assert traced.client().get("/v1/models", headers={"traceparent": header}).status_code == 200
    assert traced.memory.get_finished_spans() == ()


def break_model(client: FlaskClient) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("broken")

    model = client.application.extensions["model_server"].registry.get("lights")
    model._model.run = fail


@pytest.mark.parametrize(
    ("asked", "broken", "name", "told"),
    [
        ("GET /nowhere/at/all", False, "GET", (404, "UnknownPath", StatusCode.UNSET)),
        ("BREW /predict", False, "HTTP", (405, "MethodNotAllowed", StatusCode.UNSET)),
        ("POST /v1/models/other:predict", False, f"POST {RULE}",
         (404, "UnknownModel", StatusCode.UNSET)),
        ("POST /v1/models/lights:predict", True, f"POST {RULE}",
         (500, "InferenceFailed", StatusCode.ERROR)),
    ],
)  # fmt: skip
def test_what_went_wrong_is_told_in_names_that_a_client_cannot_make_up(
    picture: bytes, asked: str, broken: bool, name: str, told: tuple[int, str, StatusCode]
) -> None:
    traced = Traced()
    client = traced.client()
    if broken:
        break_model(client)
    method, path = asked.split()
    data = picture if method == "POST" else None
    answer = client.open(path, method=method, data=data, content_type="image/png")
    assert answer.status_code == told[0]
    server, _ = traced.one()
    found = attributes(server)
    assert server.name == name
    assert found.get("http.route") == (RULE if RULE in name else None)
    status = server.status.status_code
    assert (found["http.response.status_code"], found["error.type"], status) == told


def test_probes_and_scrapes_leave_no_span() -> None:
    traced = Traced()
    client = traced.client()
    for path in ("/healthz", "/readyz", "/metrics", "/v2/health/live", "/v2/health/ready"):
        client.get(path)
    assert traced.memory.get_finished_spans() == ()


def test_an_answer_that_is_sent_in_blocks_has_one_encode(picture: bytes) -> None:
    traced = Traced()
    answer = traced.client().post("/object_detection", data=picture, content_type="image/png")
    assert len(answer.data) > 60_000
    answer.close()
    assert [stage.name for stage in traced.one()[1]].count("encode") == 1


def test_several_pictures_have_their_stages_each(picture: bytes) -> None:
    traced = Traced()
    item = {"b64": base64.b64encode(picture).decode()}
    traced.client().post("/v1/models/lights:predict", json={"instances": [item, item, item]})
    assert [stage.name for stage in traced.one()[1]].count("inference") == 3


def test_only_so_many_steps_are_kept() -> None:
    traced, context = Traced(), RequestContext(timeline=Timeline())
    for _ in range(Timeline.MOST):
        for name in ("decode", "inference"):
            with context.stage(name):
                pass
    traced.spans.record(finished(context, {}))
    server, children = traced.one()
    assert len(children) == Timeline.MOST
    assert attributes(server)["model_server.steps_left_out"] == Timeline.MOST


@given(st.dictionaries(st.sampled_from(["traceparent", "tracestate"]), st.text()))
def test_no_header_breaks_the_making_of_a_span(headers: dict[str, str]) -> None:
    ended = finished(RequestContext(), headers)
    assert set(Traced().spans.record(ended)) in (set(), {"trace_id", "span_id"})


def test_a_library_that_repeats_itself_writes_one_line(
    caplog: pytest.LogCaptureFixture, request: pytest.FixtureRequest
) -> None:
    library = logging.getLogger("library_that_repeats_itself")
    request.addfinalizer(library.handlers.clear)
    limit_lines(library.name, 3600)
    for number in range(1000):
        library.getChild("deep").warning("attempt %s failed", number)
    assert caplog.messages == ["library_that_repeats_itself.deep: attempt 0 failed"]
    limit_lines(library.name, 0)
    library.warning("again")
    library.info("not worth a line")
    assert caplog.messages[1:] == ["library_that_repeats_itself: again"]
