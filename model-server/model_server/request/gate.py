"""Admission control: limits how many requests run and how many wait.

When the queue is full, a request is rejected immediately instead of answered late.
"""

import math
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from model_server.errors import DeadlineExceeded, Overloaded
from model_server.request.context import RequestContext

# Weight of the latest interval in the moving average of the queue's pace.
_LATEST = 0.1
# Safety margin on the expected wait: a request that would only just make it is rejected, so that no
# inference is wasted on an answer that comes too late.
_MARGIN = 1.1


class Gate:
    """A semaphore with a bounded first-in, first-out queue.

    A request is also rejected when the queue moves too slowly for its deadline.

    Attributes:
        concurrency: Maximum number of running requests.
        queue_size: Maximum number of waiting requests.
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
        """Running requests."""
        return self._inside

    @property
    def waiting(self) -> int:
        """Waiting requests."""
        return len(self._waiting)

    @contextmanager
    def admit(self, context: RequestContext) -> Iterator[None]:
        """Waits for admission; the time is recorded as the stage `queue`.

        Raises:
            Overloaded: if the queue is full.
            DeadlineExceeded: if the deadline passes in the queue.
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
            if turn.is_set():  # admitted at the moment of the timeout
                return
            self._waiting.remove(turn)
        raise DeadlineExceeded("the request timed out in the queue")

    def refusal(self, context: RequestContext) -> Overloaded | None:
        """The error with which `admit` would reject the request now, or None. Admits nothing.

        Lets callers reject a request before they read its body. The time is recorded as `queue`.
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
        reason = (
            f"the server is busy: {self._inside} requests are running and {waiting} are waiting"
        )
        if waiting < self.queue_size:
            reason += (
                f"; the wait would be {wait:.1f} s, but this request times out in {left:.1f} s"
            )
        # One more request will have left the queue by then, at the current pace.
        return Overloaded(f"{reason}. Retry later", max(1, math.ceil(self._pace)))

    def _leave(self) -> None:
        with self._lock:
            if self._waiting:  # hand the slot to the next in line
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
