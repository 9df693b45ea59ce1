"""Admission: how many requests are worked on, how many may wait, and for how long.

One more than may wait is turned away at once, which is worth more to a client than a slow answer.
Knows nothing of HTTP: endpoints ask to enter, and an error says why not.
"""

import math
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from model_server.errors import DeadlineExceeded, Overloaded
from model_server.request.context import RequestContext

# How much the latest interval counts in the pace of the queue.
_LATEST = 0.1
# How much longer than expected a wait may become. Who would make it only just is refused: it
# learns that at once, and what is not computed in vain is there for others.
_MARGIN = 1.1


class Gate:
    """A semaphore with a bounded queue, first come first served.

    A request is also turned away when the queue moves so slowly that its time would be up before
    its turn: it learns at once what it would learn then, and takes nobody's place meanwhile.

    Attributes:
        concurrency: Requests inside at most.
        queue_size: Requests waiting at most.
    """

    def __init__(
        self,
        concurrency: int = 1,
        queue_size: int = 64,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.concurrency = concurrency
        self.queue_size = queue_size
        self._clock = clock
        # Seconds between two requests that leave while others wait, and when the last one did.
        self._pace = 0.0
        self._moved: float | None = None
        self._lock = threading.Lock()
        self._inside = 0
        self._waiting: deque[threading.Event] = deque()

    @property
    def inside(self) -> int:
        """Requests being worked on."""
        return self._inside

    @property
    def waiting(self) -> int:
        """Requests waiting for their turn."""
        return len(self._waiting)

    @contextmanager
    def admit(self, context: RequestContext) -> Iterator[None]:
        """Waits for a turn; the time it takes is the context's stage `queue`.

        Raises:
            Overloaded: if the queue is full.
            DeadlineExceeded: if the request's time is up before its turn.
        """
        with context.stage("queue"):
            self._enter(context)
        try:
            yield
        finally:
            self._leave()

    def _enter(self, context: RequestContext) -> None:
        with self._lock:
            if self._has_place():
                self._inside += 1
                return
            if refused := self._refusal(context):
                raise refused
            turn = threading.Event()
            self._waiting.append(turn)
        if turn.wait(max(0.0, min(context.seconds_left(), threading.TIMEOUT_MAX))):
            return
        with self._lock:
            if turn.is_set():  # it came in the very moment that the time was up
                return
            self._waiting.remove(turn)
        raise DeadlineExceeded("the request's time was up while it waited for its turn")

    def refusal(self, context: RequestContext) -> Overloaded | None:
        """Why the request would be turned away now; None if it would not. Admits nothing.

        What is known so can be refused before work is done on it. A look only: `admit` decides.
        The time it takes is the context's stage `queue`.
        """
        with context.stage("queue"), self._lock:
            return None if self._has_place() else self._refusal(context)

    def _has_place(self) -> bool:
        return self._inside < self.concurrency and not self._waiting

    def _refusal(self, context: RequestContext) -> Overloaded | None:
        waiting = len(self._waiting)
        wait, left = (waiting + 1) * self._pace, context.seconds_left()
        if waiting < self.queue_size and (not waiting or wait * _MARGIN <= left):
            return None
        reason = f"{self._inside} requests are being worked on and {waiting} are waiting"
        if waiting < self.queue_size:
            reason += f", about {wait:.1f} s; this one's time is up in {left:.1f} s"
        # By then one request more will have left, if it goes on as it went.
        return Overloaded(f"{reason}; try again shortly", max(1, math.ceil(self._pace)))

    def _leave(self) -> None:
        with self._lock:
            if self._waiting:  # the place goes to the next one without becoming free
                self._waiting.popleft().set()
                self._note_pace()
            else:
                self._inside -= 1
                self._moved = None

    def _note_pace(self) -> None:
        now = self._clock()
        if self._moved is not None:
            interval = now - self._moved
            self._pace += (interval - self._pace) * (_LATEST if self._pace else 1.0)
        self._moved = now
