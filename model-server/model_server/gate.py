"""Admission: how many requests are worked on, how many may wait, and for how long.

One more than may wait is turned away at once, which is worth more to a client than a slow answer.
Knows nothing of HTTP: the routes ask to enter, and an error says why not.
"""

import math
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from model_server.context import RequestContext
from model_server.errors import DeadlineExceeded, ImageTooLarge, Overloaded

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


class BodyBudget:
    """Bytes of request bodies, and of what is made of them, that may be there at the same time.

    The queue bounds how many requests wait; this bounds what they weigh.
    """

    def __init__(self, most: int = 256 * 1024 * 1024) -> None:
        self.most = most
        self._lock = threading.Lock()
        self._reserved = 0

    @property
    def reserved(self) -> int:
        """Bytes in use."""
        return self._reserved

    def reserve(self, size: int, held: int = 0) -> None:
        """Takes a part of the budget; give it back with `release`.

        Args:
            size: In bytes.
            held: Bytes that the same request has already: something larger is made of its body.

        Raises:
            Overloaded: if not enough is left. What exceeds the whole budget is let in when no other
                request is there.
        """
        with self._lock:
            if self._reserved > held and self._reserved + size > self.most:
                raise Overloaded("too many bytes of other requests are waiting; try again shortly")
            self._reserved += size

    def release(self, size: int) -> None:
        """Gives back what `reserve` took."""
        with self._lock:
            self._reserved -= size


class PictureBudget:
    """Memory that decoded pictures may take at the same time; shared by all models.

    A file of 34 bytes can be a picture of 50 megapixels, and a few of those at once would be more
    than a pod has. A picture that does not fit beside the others waits for them; small ones are
    not counted, so that they never wait.

    Args:
        most: In bytes.
        given_back: Called after more than a little memory was given back.
    """

    SMALL = 16 * 1024 * 1024
    # Some of these at once leave as much behind as a large one.
    LITTLE = 4 * 1024 * 1024

    def __init__(
        self, most: int = 512 * 1024 * 1024, given_back: Callable[[], None] = lambda: None
    ) -> None:
        self.most = most
        self._given_back = given_back
        self._changed = threading.Condition()
        self._taken = 0

    @property
    def taken(self) -> int:
        """Bytes in use."""
        return self._taken

    def take(self, size: int, context: RequestContext) -> None:
        """Waits until so many bytes are free; give them back with `give_back`.

        Raises:
            ImageTooLarge: if there will never be as many.
            DeadlineExceeded: if the request's time is up before.
        """
        if size > self.most:
            raise ImageTooLarge(
                f"decoding the picture would take {size} bytes of memory; at most {self.most} "
                "are accepted (--max-decoded-bytes)"
            )
        if size <= self.SMALL:
            return
        left = max(0.0, min(context.seconds_left(), threading.TIMEOUT_MAX))
        with self._changed:
            if not self._changed.wait_for(lambda: self._taken + size <= self.most, left):
                raise DeadlineExceeded(
                    "the request's time was up while it waited for memory for its picture"
                )
            self._taken += size

    def give_back(self, size: int) -> None:
        """Gives back what `take` took."""
        if size > self.SMALL:
            with self._changed:
                self._taken -= size
                self._changed.notify_all()
        if size > self.LITTLE:
            self._given_back()
