"""Limits the time of a whole run, including name lookups, credentials, waiting and unpacking.

Timeouts on single operations do not bound the total: a server that sends one header byte per
second, or an archive whose headers take minutes to parse, never exceeds any of them.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

# Time for the exception to end the run before the process is killed.
_GRACE_SECONDS = 10.0
# The alarm repeats, because a library may swallow the first exception.
_AGAIN_SECONDS = 5.0


class OutOfTime(BaseException):
    """The time limit has passed. Not an `Exception`, which libraries may swallow and retry."""


@contextmanager
def time_limit(seconds: float, end: Callable[[], None]) -> Iterator[None]:
    """Ends the block after a time limit, whatever it is doing.

    Args:
        seconds: Time limit in seconds.
        end: Reports the reason; called before the process is killed because the block could not
            be interrupted.

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
        if left:  # restore an alarm that was already set
            remaining = max(0.001, left - (time.monotonic() - started))
            signal.setitimer(signal.ITIMER_REAL, remaining, interval)


def _raise(_signal: int, _frame: FrameType | None) -> None:
    raise OutOfTime
