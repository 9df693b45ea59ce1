"""The client against servers that are busy, broken, absent, or no model servers at all."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from inference_client import (
    Client,
    RequestRefused,
    ServerBusy,
    ServerFailed,
    ServerTimeout,
    ServerUnreachable,
    UnexpectedAnswer,
    UnreadablePicture,
)
from support.loopback import Reply, Request, loopback_server

JPEG = b"\xff\xd8\xff\xe0 looks like one"
ANSWER = json.dumps(
    {
        "detections": [{"person": "79%"}],
        "image size": "size=1x1",
        "image data": [[[1, 2, 3]]],
    }
).encode()
GOOD = Reply(body=ANSWER, headers={"Content-Type": "application/json"})


def replies(*script: Reply) -> Iterator[Reply]:
    yield from script
    while True:
        yield script[-1]


def test_what_is_sent(tmp_path: Path) -> None:
    (tmp_path / "x.png").write_bytes(b"\x89PNG\r\n\x1a\n...")
    with loopback_server(lambda _: GOOD) as server, Client(server.url + "/") as client:
        client.detect(tmp_path / "x.png", score_threshold=0.5, max_boxes=3)
        client.detect(JPEG, annotated=None)
    first, second = server.requests
    assert (first.method, first.path) == (
        "POST",
        "/object_detection?score_threshold=0.5&max_boxes=3&picture=jpeg",
    )
    assert first.headers["content-type"] == "image/png"
    assert first.headers["accept"].endswith(", application/json;q=0.5")
    assert first.body == b"\x89PNG\r\n\x1a\n..."
    assert second.path == "/object_detection"
    assert second.headers["content-type"] == "image/jpeg"


def test_a_classification_is_sent_as_a_form() -> None:
    body = b'{"predictions": [{"label": "beagle", "probability": 0.98}], "success": true}'
    with loopback_server(lambda _: Reply(body=body)) as server, Client(server.url) as client:
        result = client.classify(JPEG, top_k=1)
    assert result.predictions[0].label == "beagle"
    (request,) = server.requests
    assert request.path == "/predict?top_k=1"
    assert request.headers["content-type"].startswith("multipart/form-data; boundary=")
    assert b'name="image"' in request.body
    assert JPEG in request.body


def test_a_busy_server_is_asked_again_when_it_says() -> None:
    script = replies(Reply(503, headers={"Retry-After": "0"}), Reply(429), GOOD)
    heard: list[str] = []
    with (
        loopback_server(lambda _: next(script)) as server,
        Client(server.url, on_retry=heard.append) as client,
    ):
        assert client.detect(JPEG).detections[0].label == "person"
    assert [request.body for request in server.requests] == [JPEG] * 3
    assert heard == [
        "the server is busy (503); retrying",
        "the server is busy (429); retrying",
    ]


def test_retry_after_is_honoured(monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    monkeypatch.setattr("time.sleep", slept.append)
    script = replies(Reply(503, headers={"Retry-After": "7"}), GOOD)
    with loopback_server(lambda _: next(script)) as server, Client(server.url) as client:
        client.detect(JPEG)
    assert slept == [7]


def test_a_server_that_stays_busy() -> None:
    busy = Reply(503, b'{"error": "the queue is full", "code": "Overloaded", "success": false}')
    with (
        loopback_server(lambda _: busy) as server,
        Client(server.url, max_retries=1) as client,
        pytest.raises(ServerBusy, match=r"returned 503 .*: the queue is full"),
    ):
        client.detect(JPEG)
    assert len(server.requests) == 2


def test_a_broken_connection_is_tried_again() -> None:
    script = replies(Reply(hang_up=True), Reply(body=ANSWER, length=len(ANSWER) + 9), GOOD)
    with loopback_server(lambda _: next(script)) as server, Client(server.url) as client:
        assert client.detect(JPEG).image_size == "size=1x1"
    assert len(server.requests) == 3


def test_a_connection_that_always_breaks() -> None:
    with (
        loopback_server(lambda _: Reply(hang_up=True)) as server,
        Client(server.url, max_retries=1) as client,
        pytest.raises(ServerUnreachable, match=r"cannot reach .* Is the server running"),
    ):
        client.detect(JPEG)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_no_server() -> None:
    address = f"http://127.0.0.1:{free_port()}"
    with (
        Client(address, max_retries=1) as client,
        pytest.raises(ServerUnreachable, match=f"cannot reach {address}: connection refused"),
    ):
        client.detect(JPEG)


def test_no_such_host() -> None:
    heard: list[str] = []
    with (
        Client("http://no-such-host.invalid", on_retry=heard.append) as client,
        pytest.raises(ServerUnreachable, match="unknown host"),
    ):
        client.detect(JPEG)
    assert heard == []


def test_http_spoken_to_https_is_told() -> None:
    with loopback_server(lambda _: GOOD) as server:
        address = server.url.replace("http:", "https:")
        with (
            Client(address, max_retries=1) as client,
            pytest.raises(ServerUnreachable, match="TLS failed"),
        ):
            client.detect(JPEG)


def test_a_server_that_does_not_answer_in_time() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with (
            Client(address, timeout=0.1) as client,
            pytest.raises(ServerTimeout, match="did not respond in time"),
        ):
            client.detect(JPEG)


@pytest.mark.parametrize(
    ("reply", "complaint"),
    [
        (
            Reply(400, b'{"error": "not a picture", "code": "InvalidImage", "success": false}'),
            r"/object_detection returned 400 Bad Request: not a picture",
        ),
        (Reply(404, b'{"error": "no model x"}'), "404 Not Found: no model x"),
        (Reply(404, b"<html>"), "404 Not Found. Is there a model server at this address"),
        (Reply(413, b""), "returned 413"),
    ],
)
def test_a_refusal_carries_the_servers_words(reply: Reply, complaint: str) -> None:
    with (
        loopback_server(lambda _: reply) as server,
        Client(server.url) as client,
        pytest.raises(RequestRefused, match=complaint) as caught,
    ):
        client.detect(JPEG)
    assert caught.value.status == reply.status
    assert len(server.requests) == 1


def test_the_code_of_a_refusal() -> None:
    reply = Reply(400, b'{"error": "not a picture", "code": "InvalidImage", "success": false}')
    with (
        loopback_server(lambda _: reply) as server,
        Client(server.url) as client,
        pytest.raises(RequestRefused) as caught,
    ):
        client.detect(JPEG)
    assert caught.value.code == "InvalidImage"


@pytest.mark.parametrize("body", [b"<html>welcome</html>", b"", b"[1]", b"{}", b"\xff"])
def test_another_kind_of_server(body: bytes) -> None:
    with (
        loopback_server(lambda _: Reply(body=body)) as server,
        Client(server.url) as client,
        pytest.raises(UnexpectedAnswer, match="Is the address correct"),
    ):
        client.detect(JPEG)


def test_a_server_error_is_not_repeated() -> None:
    with (
        loopback_server(lambda _: Reply(500, b"")) as server,
        Client(server.url) as client,
        pytest.raises(ServerFailed, match="returned 500"),
    ):
        client.detect(JPEG)
    assert len(server.requests) == 1


def test_a_redirect_is_followed_with_the_picture() -> None:
    def script(request: Request) -> Reply:
        if request.path.startswith("/old"):
            return Reply(308, headers={"Location": "/object_detection"})
        return GOOD

    with loopback_server(script) as server, Client(server.url + "/old") as client:
        client.detect(JPEG)
    assert [request.body for request in server.requests] == [JPEG, JPEG]


def test_redirects_without_end() -> None:
    with (
        loopback_server(lambda _: Reply(308, headers={"Location": "/object_detection"})) as server,
        Client(server.url) as client,
        pytest.raises(ServerUnreachable, match="redirects"),
    ):
        client.detect(JPEG)


def test_pictures_that_cannot_be_read(tmp_path: Path) -> None:
    with Client("http://127.0.0.1:9") as client:
        with pytest.raises(UnreadablePicture, match="the picture is empty"):
            client.detect(b"")
        with pytest.raises(UnreadablePicture, match=r"no-such.jpg: No such file"):
            client.detect(tmp_path / "no-such.jpg")
        with pytest.raises(UnreadablePicture, match="Is a directory"):
            client.detect(str(tmp_path))
