"""One limit on the time of a whole run: look-ups, credentials, waiting, unpacking, all of it.

Limits on single waits do not add up to one: a server that sends a byte of a header each second,
or an archive whose headers take the parser minutes, passes every one of them.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

# Until the process ends although something does not let the exception through.
_GRACE_SECONDS = 10.0
# Again and again: a library may have swallowed the first one.
_AGAIN_SECONDS = 5.0


class OutOfTime(BaseException):
    """The time is up. Not an `Exception`, which libraries swallow and try again."""


@contextmanager
def time_limit(seconds: float, end: Callable[[], None]) -> Iterator[None]:
    """Ends the block after so many seconds, whatever it is doing.

    Args:
        seconds: How long it may take.
        end: Says why; called when the block could not be interrupted and the process is ended.

    Raises:
        OutOfTime: inside the block, if it runs in the main thread.
    """
    last = threading.Timer(seconds + _GRACE_SECONDS, _end_process, (end,))
    last.daemon = True
    last.start()
    try:
        if threading.current_thread() is threading.main_thread():
            with _alarm(seconds):
                yield
        else:
            yield
    finally:
        last.cancel()


def _end_process(end: Callable[[], None]) -> None:
    end()
    os._exit(1)


@contextmanager
def _alarm(seconds: float) -> Iterator[None]:
    started = time.monotonic()
    handler = signal.signal(signal.SIGALRM, _raise)
    left, interval = signal.setitimer(signal.ITIMER_REAL, seconds, _AGAIN_SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, handler)
        if left:  # somebody else's alarm goes on
            remaining = max(0.001, left - (time.monotonic() - started))
            signal.setitimer(signal.ITIMER_REAL, remaining, interval)


def _raise(_signal: int, _frame: FrameType | None) -> None:
    raise OutOfTime
