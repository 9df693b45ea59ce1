"""A worker that had large pictures gives their memory back, however many threads decoded them."""

import sys
import threading

import pytest

from pressure import memory
from pressure.damage import blank_png
from support.model_server import RunningServer, model_server
from support.poll import eventually

DETECTIONS = "application/vnd.inference-operator.detections+json"
SIDE = 3_000
CLIENTS = 8
# Measured: from 125 to 88 MiB; 144 to 590 when nothing is given back.
ALLOWED_GROWTH = 64 * memory.MIB


def send_large_pictures(server: RunningServer, statuses: list[int]) -> None:
    for depth, colour in ((1, 0), (8, 6), (16, 0), (8, 3)):
        body = blank_png(SIDE, SIDE, depth, colour)
        answer = server.post("/object_detection", body, "image/png", Accept=DETECTIONS)
        statuses.append(answer.status)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_memory_of_large_pictures_is_given_back() -> None:
    with model_server(name="shapes") as server:
        statuses: list[int] = []
        send_large_pictures(server, statuses)  # what is loaded once is loaded
        workers = server.workers()
        before = memory.resident(workers)
        clients = [
            threading.Thread(target=send_large_pictures, args=(server, statuses))
            for _ in range(CLIENTS)
        ]
        for client in clients:
            client.start()
        for client in clients:
            client.join()
        assert statuses == [200] * (4 + 4 * CLIENTS)
        assert memory.highest(workers) > before + ALLOWED_GROWTH  # it was much
        eventually(
            lambda: memory.resident(workers) < before + ALLOWED_GROWTH, "memory is given back", 60
        )
