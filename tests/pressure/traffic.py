"""Sends many requests over a few kept connections, and keeps what came back that should not have.

It judges one thing: whether the server stayed well-mannered, whatever it was sent.
"""

from __future__ import annotations

import http.client
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from pressure.uploads import Request

TIMEOUT_S = 120
# Failures that are kept in full; of more, only the number is interesting.
_KEPT = 20


@dataclass
class Tally:
    """What came back.

    Attributes:
        statuses: How often each status; 0 for no answer.
        failures: What was wrong, with the request's number.
    """

    statuses: Counter[int] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    failed: int = 0

    @property
    def sent(self) -> int:
        """Requests so far."""
        return self.statuses.total()


class Traffic:
    """A few clients that take turns at one list of requests.

    Args:
        port: Of the server, on loopback.
        clients: How many; fewer than the server's queue is long, so that 503 is a failure.
    """

    def __init__(self, port: int, clients: int = 4) -> None:
        self._port = port
        self._clients = clients
        self._lock = threading.Lock()

    def send(
        self,
        make: Callable[[int], Request],
        numbers: Iterable[int],
        tally: Tally,
        wanted: Callable[[int], bool] = lambda status: status < 500,
    ) -> None:
        """Sends the requests of those numbers and adds to the tally."""
        turn = iter(numbers)
        threads = [
            threading.Thread(target=self._client, args=(make, turn, tally, wanted))
            for _ in range(self._clients)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _client(
        self,
        make: Callable[[int], Request],
        turn: Iterator[int],
        tally: Tally,
        wanted: Callable[[int], bool],
    ) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=TIMEOUT_S)
        try:
            while (number := self._next(turn)) is not None:
                status, problem = _exchange(connection, make(number), wanted)
                with self._lock:
                    tally.statuses[status] += 1
                    if problem:
                        tally.failed += 1
                        tally.failures[_KEPT:] = []
                        tally.failures.append(f"{make.__name__} {number}: {problem}")
        finally:
            connection.close()

    def _next(self, turn: Iterator[int]) -> int | None:
        with self._lock:
            return next(turn, None)


def _exchange(
    connection: http.client.HTTPConnection, request: Request, wanted: Callable[[int], bool]
) -> tuple[int, str]:
    """Status and what was wrong with it; a connection that the server closed is opened again."""
    for attempt in (1, 2):
        fresh = connection.sock is None
        try:
            connection.request("POST", request.path, request.body, request.headers)
            answer = connection.getresponse()
            body = answer.read()
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            # Between two requests the server may close; within the first it may not.
            if fresh or attempt == 2:
                return 0, f"no answer: {error!r}"
            continue
        return answer.status, _problem(answer, body, wanted)
    return 0, "no answer"


def _problem(answer: http.client.HTTPResponse, body: bytes, wanted: Callable[[int], bool]) -> str:
    status = answer.status
    if not wanted(status):
        return f"{status}: {body[:300]!r}"
    kind = answer.headers.get("Content-Type", "")
    if status >= 400 and (kind != "application/json" or b'"error"' not in body):
        return f"{status} is no typed error: {kind} {body[:300]!r}"
    if b"Traceback" in body:
        return f"{status} shows a traceback"
    return ""
