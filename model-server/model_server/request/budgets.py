"""Bounds on memory that requests hold at the same time: their bodies and their decoded pictures.

Knows nothing of HTTP or of pictures' formats: callers say how many bytes they are about to need.
"""

import threading
from collections.abc import Callable

from model_server.errors import DeadlineExceeded, ImageTooLarge, Overloaded
from model_server.request.context import RequestContext


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
