"""Memory budgets shared by all requests: for their bodies and for their decoded pictures."""

import threading
from collections.abc import Callable

from model_server.errors import DeadlineExceeded, ImageTooLarge, Overloaded
from model_server.request.context import RequestContext


class BodyBudget:
    """Limits the total size of request bodies and of what is parsed from them.

    The queue limits how many requests wait; this limits their memory.
    """

    def __init__(self, most: int = 256 * 1024 * 1024) -> None:
        self.most = most
        self._lock = threading.Lock()
        self._reserved = 0

    @property
    def reserved(self) -> int:
        """Bytes currently taken."""
        return self._reserved

    def reserve(self, size: int, held: int = 0) -> None:
        """Reserves part of the budget until `release`.

        Args:
            size: In bytes.
            held: Bytes already reserved by the same request.

        Raises:
            Overloaded: if not enough is left. A request larger than the whole budget is admitted
                when it is alone.
        """
        with self._lock:
            if self._reserved > held and self._reserved + size > self.most:
                raise Overloaded("the server holds too many bytes of other requests; retry later")
            self._reserved += size

    def release(self, size: int) -> None:
        """Returns what `reserve` took."""
        with self._lock:
            self._reserved -= size


class PictureBudget:
    """Limits the memory of decoded pictures across all models.

    A file of 34 bytes can decode to 50 megapixels. A picture waits until enough memory is free;
    small ones are not counted and never wait.

    Args:
        most: In bytes.
        given_back: Called after a larger amount of memory was freed.
    """

    SMALL = 16 * 1024 * 1024
    # Several of these leave as much freed memory behind as a large one.
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
        """Bytes currently taken."""
        return self._taken

    def take(self, size: int, context: RequestContext) -> None:
        """Waits until `size` bytes are free and takes them until `give_back`.

        Raises:
            ImageTooLarge: if the whole budget is smaller.
            DeadlineExceeded: if the deadline passes first.
        """
        if size > self.most:
            raise ImageTooLarge(
                f"decoding the picture needs {size} bytes of memory; the limit is {self.most} "
                "(--max-decoded-bytes). Send a smaller picture"
            )
        if size <= self.SMALL:
            return
        left = max(0.0, min(context.seconds_left(), threading.TIMEOUT_MAX))
        with self._changed:
            if not self._changed.wait_for(lambda: self._taken + size <= self.most, left):
                raise DeadlineExceeded(
                    "the request timed out while waiting for memory to decode its picture"
                )
            self._taken += size

    def give_back(self, size: int) -> None:
        """Returns what `take` took."""
        if size > self.SMALL:
            with self._changed:
                self._taken -= size
                self._changed.notify_all()
        if size > self.LITTLE:
            self._given_back()
