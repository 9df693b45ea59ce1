"""Keeps the C library from holding memory that large pictures have left behind.

glibc gives every few threads an arena of their own, up to eight for each core, and an arena gives
freed memory back to the system only from its very end. With dozens of request threads, each a few
times at work on a picture of 200 MB, a worker that is idle again kept hundreds of megabytes. A pod
with a memory limit is killed for what nobody uses. Two remedies, both of glibc alone; on other
systems (musl, macOS) nothing here does anything:

- one arena, chosen before there are threads (`limit_arenas`);
- freed memory in the middle of an arena is given back too, a moment after a large picture, by a
  thread of its own (`Trimmer`): it takes milliseconds, which no request should wait for.

It knows nothing of pictures or requests.
"""

import ctypes
import os
import threading
from collections.abc import Callable

# From malloc.h.
_M_ARENA_MAX = -8
# The end of an arena is trimmed in the first one only, so that each further one keeps megabytes.
# Threads seldom wait for each other: what is small comes from Python's own allocator or from a
# cache of the thread. See DECISIONS.md for the figures.
_ARENAS = 1
# What a person sets is not overruled.
_VARIABLES = {"MALLOC_ARENA_MAX": "", "GLIBC_TUNABLES": "glibc.malloc.arena_max"}


def limit_arenas() -> bool:
    """Lets all threads share one arena; call it before the first thread is started.

    Forked processes inherit it.

    Returns:
        Whether it was done: not without glibc, and not when the environment configures glibc.
    """
    mallopt = _glibc("mallopt")
    chosen = any(
        name in os.environ and part in os.environ[name] for name, part in _VARIABLES.items()
    )
    if mallopt is None or chosen:
        return False
    return mallopt(_M_ARENA_MAX, _ARENAS) == 1


def trim() -> None:
    """Gives all memory that is free back to the system; milliseconds, without the GIL."""
    malloc_trim = _glibc("malloc_trim")
    if malloc_trim is not None:
        malloc_trim(0)


def _glibc(name: str) -> Callable[..., int] | None:
    """A function of glibc; None where another C library is, which may have only the name."""
    try:
        library = ctypes.CDLL(None)
    except (OSError, TypeError):  # no dynamic loading at all
        return None
    if not hasattr(library, "gnu_get_libc_version"):
        return None
    function: Callable[..., int] = getattr(library, name)
    return function


class Trimmer:
    """Trims a moment after it is asked to, in a thread of its own, and not all the time.

    Args:
        work: What trims.
        pause_seconds: From the first request to the trimming, so that there is at most one in that
            time. What asks meanwhile may free its memory only after it: another one follows.
    """

    def __init__(self, work: Callable[[], None] = trim, pause_seconds: float = 1.0) -> None:
        self._work = work
        self._pause_seconds = pause_seconds
        self._lock = threading.Lock()
        self._asked = False
        self._again = False

    def request(self) -> None:
        """Asks for a trimming; returns at once."""
        with self._lock:
            self._again = self._asked
            if self._asked:
                return
            self._asked = True
        self._start()

    def _start(self) -> None:
        # Threads do not survive a fork: one for each trimming needs no start in the right process.
        timer = threading.Timer(self._pause_seconds, self._run)
        timer.daemon = True
        timer.start()

    def _run(self) -> None:
        self._work()
        with self._lock:
            self._asked, self._again = self._again, False
            if not self._asked:
                return
        self._start()
