"""Decides whether a crash is the model's fault, and when to stop replacing workers. Pure."""

import signal
from collections import deque

from model_server.errors import ModelCrashed

# This many crashes within this many seconds mean that requests crash the model or memory runs out.
_MOST_CRASHES = 5
_SECONDS = 300.0
# Signals by which a user or the system stops a process; all others are faults of the program.
_ORDERS = {signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGHUP}


def crash_while_loading(number: int) -> ModelCrashed | None:
    """Decides whether to stop the server after a signal killed a worker that was still loading.

    Args:
        number: Signal number.

    Returns:
        The error to stop with; None if a new worker should try.
    """
    if number in _ORDERS:
        return None
    if number == signal.SIGKILL:
        return ModelCrashed(
            "model: the process was killed while it loaded the model, most often because it needs "
            "more memory than its limit; raise resources.limits.memory"
        )
    return ModelCrashed(
        f"model: loading the model crashed its runtime ({_name(number)}); the file is damaged or "
        "made for another runtime, so it is not tried again"
    )


def crashes_while_serving(times: deque[float], number: int) -> ModelCrashed | None:
    """Decides whether to stop the server after crashes of workers that were serving.

    Args:
        times: Times of the crashes so far in seconds, the newest last; old ones are removed.
        number: Signal number of the last crash.

    Returns:
        The error to stop with; None while there are few crashes.
    """
    if number in _ORDERS:
        times.pop()
        return None
    while times[-1] - times[0] > _SECONDS:
        times.popleft()
    if len(times) < _MOST_CRASHES:
        return None
    return ModelCrashed(
        f"model: {len(times)} crashes within {times[-1] - times[0]:.0f} s of serving, the last one "
        f"by {_name(number)}; the model or its runtime fails on what clients send"
    )


def _name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
