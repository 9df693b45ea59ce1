"""What keeps a connection usable: an error must not cost the client its next request."""

import http.client
from collections.abc import Iterator
from contextlib import closing

import pytest

from support.model_server import RunningServer, model_server

# More than gunicorn discards by itself, less than the server accepts.
LARGE = bytes(3 * 1024 * 1024)
MOST = 4 * 1024 * 1024


@pytest.fixture(scope="module")
def server() -> Iterator[RunningServer]:
    with model_server(max_body_bytes=MOST, name="detector") as running:
        yield running


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        ("/v2/models/nobody/infer", {}, 404),
        ("/nowhere", {}, 404),
        ("/readyz", {}, 405),
        ("/v2/models/detector/infer?wrong=1", {}, 400),
        ("/object_detection", {"Content-Encoding": "gzip"}, 415),
        ("/object_detection", {"Content-Type": "text/plain"}, 415),
        ("/object_detection", {"Content-Type": "image/jpeg"}, 415),
    ],
)
def test_an_early_error_leaves_the_connection_usable(
    server: RunningServer, path: str, headers: dict[str, str], status: int
) -> None:
    with closing(http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)) as connection:
        for _ in range(2):
            connection.request("POST", path, LARGE, headers)
            answer = connection.getresponse()
            assert answer.status == status, answer.read()
            answer.read()
            socket = connection.sock
            assert socket is not None, "the server closed the connection"
        connection.request("GET", "/healthz")
        assert connection.getresponse().status == 200
        assert connection.sock is socket, "the client had to connect again"


def test_a_chunked_body_of_an_early_error_is_taken_too(server: RunningServer) -> None:
    with closing(http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)) as connection:
        blocks = (LARGE[:65536] for _ in range(16))
        connection.request("POST", "/v2/models/nobody/infer", blocks, encode_chunked=True)
        answer = connection.getresponse()
        assert answer.status == 404
        answer.read()
        connection.request("GET", "/healthz")
        assert connection.getresponse().status == 200
