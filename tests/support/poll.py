"""Polling with a deadline: the only way a test may wait for the outside world."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


class DeadlineExceededError(AssertionError):
    """What was waited for did not come in time; the message says what was seen last."""


def eventually(
    probe: Callable[[], T | None],
    what: str,
    timeout_s: float = 60,
    interval_s: float = 0.25,
) -> T:
    """Call `probe` until it returns something true, and return that.

    A probe may raise AssertionError to say why it is not there yet; the last such reason is part
    of the failure.

    Raises:
        DeadlineExceededError: nothing true came within `timeout_s` seconds.
    """
    deadline = time.monotonic() + timeout_s
    seen: object = None
    while True:
        try:
            result = probe()
            if result:
                return result
            seen = result
        except AssertionError as error:
            seen = error
        if time.monotonic() > deadline:
            raise DeadlineExceededError(f"{what}: not within {timeout_s:.0f} s; last seen: {seen}")
        time.sleep(interval_s)
