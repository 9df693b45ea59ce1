"""Under pressure: full queues, slow clients, stops and restarts while requests are under way."""

import http.client
import os
import signal
import socket
import threading
import time
from collections import Counter
from functools import partial
from pathlib import Path

import pytest

from support.model_server import (
    COCO,
    COCO_LABELS,
    IMAGENET,
    IMAGENET_LABELS,
    RunningServer,
    model_server,
)
from support.poll import eventually

REFUSED = "refused"
PREDICT = "/v1/models/imagenet:predict"
TYPES = {"/predict": "image/jpeg", PREDICT: "application/json"}


class Load:
    """Clients that send one request after another until told to stop or refused.

    Every second one keeps its connection; the others open a new one for each request.
    """

    def __init__(self, server: RunningServer, body: bytes, clients: int) -> None:
        self._address = ("127.0.0.1", server.port)
        self._body = body
        self._stop = threading.Event()
        self.results: list[str] = []
        self._threads = [
            threading.Thread(target=self._run, args=(number % 2 == 0,)) for number in range(clients)
        ]
        for thread in self._threads:
            thread.start()

    def _run(self, keep: bool) -> None:
        connection = http.client.HTTPConnection(*self._address, timeout=60)
        while not self._stop.is_set():
            result = self._one(connection)
            self.results.append(result)
            if result == REFUSED:
                return
            if not keep:
                connection.close()
        connection.close()

    def _one(self, connection: http.client.HTTPConnection) -> str:
        try:
            if connection.sock is None:
                connection.connect()
        except OSError:
            return REFUSED
        try:
            connection.request("POST", "/predict", self._body, {"Content-Type": "image/jpeg"})
            response = connection.getresponse()
            response.read()
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            return repr(error)
        return str(response.status)

    def counts(self) -> Counter[str]:
        return Counter(self.results)

    def finish(self) -> Counter[str]:
        self._stop.set()
        for thread in self._threads:
            thread.join(90)
        return self.counts()


@pytest.fixture
def picture(data: Path) -> bytes:
    return (data / "parrot.jpg").read_bytes()


def has_answered(load: Load, count: int) -> bool:
    return load.counts()["200"] >= count


def has_other_workers(server: RunningServer, old: set[int]) -> bool:
    return not old & set(server.workers())


@pytest.mark.parametrize("workers", [1, 2])
def test_sigterm_answers_every_request_that_was_sent(picture: bytes, workers: int) -> None:
    with model_server(model=IMAGENET, labels=IMAGENET_LABELS, workers=workers) as server:
        load = Load(server, picture, clients=16)
        eventually(lambda: has_answered(load, 20), "requests are answered", 60)
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(60) == 0
        counts = load.finish()
    assert set(counts) == {"200", REFUSED}
    assert counts[REFUSED] == 16


@pytest.mark.parametrize("workers", [1, 2])
def test_a_rolling_restart_loses_no_request(picture: bytes, workers: int) -> None:
    with model_server(model=IMAGENET, labels=IMAGENET_LABELS, workers=workers) as server:
        load = Load(server, picture, clients=8)
        for _ in range(2):
            before, answered = set(server.workers()), load.counts()["200"]
            server.process.send_signal(signal.SIGHUP)
            eventually(partial(has_other_workers, server, before), "new workers", 60)
            eventually(partial(has_answered, load, answered + 30), "they answer", 60)
        assert set(load.finish()) == {"200"}


def test_more_than_the_queue_holds_is_503_and_the_rest_is_answered(picture: bytes) -> None:
    with model_server(
        model=IMAGENET, labels=IMAGENET_LABELS, container_concurrency=1, queue_size=1
    ) as server:
        load = Load(server, picture, clients=12)
        eventually(lambda: load.counts()["503"] > 0 and has_answered(load, 5), "both", 60)
        counts = load.finish()
        assert set(counts) == {"200", "503"}
        assert server.request("/readyz").status == 200


def test_a_long_body_that_meets_a_full_queue_gets_its_503(picture: bytes) -> None:
    body = bytes(16 << 20)  # more than the buffers of two sockets hold
    with model_server(
        model=IMAGENET, labels=IMAGENET_LABELS, container_concurrency=1, queue_size=0
    ) as server:
        load = Load(server, picture, clients=2)
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
        kept: list[socket.socket] = []

        def is_refused() -> bool:
            connection.request("POST", "/predict", body, {"Content-Type": "image/jpeg"})
            kept.append(connection.sock)
            response = connection.getresponse()
            response.read()
            return response.status == 503

        eventually(is_refused, "a 503", 60)
        is_refused()  # on the connection that was refused
        connection.close()
        assert len(set(kept)) == 1
        assert set(load.finish()) <= {"200", "503"}


def test_clients_that_say_nothing_or_little_block_nobody(picture: bytes) -> None:
    with model_server(
        model=IMAGENET, labels=IMAGENET_LABELS, threads=4, timeout_seconds=2
    ) as server:
        silent = [connect(server) for _ in range(50)]
        assert server.post("/predict", picture).status == 200
        slow = [connect(server) for _ in range(12)]
        for client in slow[:6]:
            client.sendall(b"POST /predict HTTP/1.1\r\nHost: x\r\n")
        for client in slow[6:]:
            client.sendall(b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nabc")
        began = time.monotonic()
        assert server.post("/predict", picture).status == 200
        assert time.monotonic() - began < 30
        for client in [*silent, *slow]:
            client.close()


def test_clients_that_never_take_their_answer_block_nobody(data: Path) -> None:
    photo = (data / "article_1920x1281.jpg").read_bytes()  # answered by 34 MB
    head = f"POST /object_detection HTTP/1.1\r\nHost: x\r\nContent-Length: {len(photo)}\r\n\r\n"
    with model_server(
        model=COCO, labels=COCO_LABELS, threads=2, container_concurrency=2, timeout_seconds=5
    ) as server:
        silent = [connect(server) for _ in range(4)]
        for client in silent:
            client.sendall(head.encode() + photo)
        assert server.request("/readyz").status == 200
        for client in silent:
            client.close()
        assert not any("traceback" in line for line in server.log)


def connect(server: RunningServer) -> socket.socket:
    return socket.create_connection(("127.0.0.1", server.port))


def head_of(path: str) -> bytes:
    return f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: {TYPES[path]}\r\n".encode()


BODIES_IN_PART = [
    (b"Content-Length: 1000\r\n\r\n", "0 of 1000 bytes"),
    (b"Content-Length: 1000\r\n\r\nabc", "3 of 1000 bytes"),
    (b"Transfer-Encoding: chunked\r\n\r\n5\r\nab", "a part"),
    (b"Transfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n", "a part"),
]


@pytest.mark.parametrize("path", TYPES)
@pytest.mark.parametrize(("sent", "came"), BODIES_IN_PART)
def test_a_body_that_is_cut_short_is_a_typed_error(
    path: str, sent: bytes, came: str, picture: bytes, imagenet: RunningServer
) -> None:
    with connect(imagenet) as client:
        client.sendall(head_of(path) + sent)
        client.shutdown(socket.SHUT_WR)
        answer = http.client.HTTPResponse(client)
        answer.begin()
        assert answer.status == 400
        assert f"the connection ended after {came} of the body" in answer.read().decode()
    assert imagenet.post("/predict", picture).status == 200


@pytest.mark.parametrize("path", TYPES)
@pytest.mark.parametrize(("sent", "came"), BODIES_IN_PART)
def test_a_body_that_does_not_come_in_time_is_408(path: str, sent: bytes, came: str) -> None:
    with model_server(name="imagenet", timeout_seconds=1) as server, connect(server) as client:
        client.sendall(head_of(path) + sent)
        answer = http.client.HTTPResponse(client)
        answer.begin()
        assert answer.status == 408
        assert f"only {came} of the body arrived; the limit is 1 s" in answer.read().decode()
        assert client.recv(1) == b"", "what might still come would be taken for a request"
        (line,) = (line for line in server.log if line.get("status") == 408)
        assert line["error"] == "BodyTooSlow"


@pytest.mark.parametrize("wish", ["keep-alive", "close"])
def test_a_long_body_that_is_refused_unread_gets_its_answer(
    wish: str, imagenet: RunningServer
) -> None:
    body = bytes(16 << 20)  # more than the buffers of two sockets hold
    with connect(imagenet) as client:
        head = f"POST /predict HTTP/1.1\r\nHost: x\r\nConnection: {wish}\r\n"
        head += f"Content-Type: text/csv\r\nContent-Length: {len(body)}\r\n\r\n"
        client.sendall(head.encode() + body)
        answer = http.client.HTTPResponse(client)
        answer.begin()
        assert answer.status == 415
        assert b"text/csv" in answer.read()
        assert (answer.getheader("Connection") == "close") == (wish == "close")


def test_abandoned_requests_are_not_computed(picture: bytes) -> None:
    """Eight clients hang up while one request is being computed: their turn never comes."""
    with model_server(
        model=IMAGENET, labels=IMAGENET_LABELS, container_concurrency=1, model_instances=1
    ) as server:
        load = Load(server, picture, clients=4)
        eventually(lambda: has_answered(load, 1), "it works", 60)
        head = f"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: {len(picture)}\r\n\r\n"
        for _ in range(8):
            with connect(server) as client:
                client.sendall(head.encode() + picture)
        eventually(lambda: any(line.get("status") == 499 for line in server.log), "a 499", 30)
        assert set(load.finish()) == {"200"}


@pytest.mark.parametrize("workers", [1, 2])
def test_a_worker_killed_under_load_is_replaced(picture: bytes, workers: int) -> None:
    with model_server(model=IMAGENET, labels=IMAGENET_LABELS, workers=workers) as server:
        load = Load(server, picture, clients=4)
        eventually(lambda: has_answered(load, 4), "requests are answered", 60)
        victim = server.workers()[0]
        os.kill(victim, signal.SIGKILL)
        answered = load.counts()["200"]
        eventually(lambda: has_answered(load, answered + 8), "requests are answered again", 60)
        eventually(lambda: len({*server.workers()} - {victim}) == workers, "a new worker", 60)
        counts = load.finish()
        # Only what was inside the killed process is lost: at most one request of each client.
        assert sum(counts.values()) - counts["200"] <= 4
        assert set(server.request("/readyz").json()) == {"status", "models", "not_served"}
