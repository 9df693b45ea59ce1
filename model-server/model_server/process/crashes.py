"""When a worker's crash is the model's fault, and when to stop starting new ones. Pure."""

import signal
from collections import deque

from model_server.errors import ModelCrashed

# So many in so many seconds: what clients send makes the model crash, or its memory runs out.
_MOST_CRASHES = 5
_SECONDS = 300.0
# A person or the system ends a process with these; all others are faults of the program itself.
_ORDERS = {signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGHUP}


def crash_while_loading(number: int) -> ModelCrashed | None:
    """Why the server ends after a worker was ended by a signal before it served.

    Args:
        number: Of the signal.

    Returns:
        The error; None if a new worker should try.
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
    """Why the server ends after workers that served have crashed.

    Args:
        times: Seconds of all crashes so far, the newest last; those long ago are taken out.
        number: Of the signal of the last one.

    Returns:
        The error; None as long as they are few.
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
