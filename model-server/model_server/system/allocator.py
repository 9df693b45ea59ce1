"""Returns freed memory to the system, so that an idle pod stays below its memory limit.

glibc keeps an arena for every few threads, up to eight per core, and releases freed memory only
from the end of an arena. After some pictures of 200 MB in dozens of request threads, an idle worker
held hundreds of megabytes. Two remedies, both no-ops without glibc (musl, macOS):

- a single arena, set before threads start (`limit_arenas`);
- `malloc_trim` shortly after a large picture, in a thread of its own (`Trimmer`), because it takes
  milliseconds.
"""

import ctypes
import os
import threading
from collections.abc import Callable

# From malloc.h.
_M_ARENA_MAX = -8
# Every further arena keeps megabytes: only the first one is trimmed at its end. Contention is low,
# as small allocations come from Python's allocator or a thread cache (figures: DECISIONS.md).
_ARENAS = 1
# Settings of the user take precedence.
_VARIABLES = {"MALLOC_ARENA_MAX": "", "GLIBC_TUNABLES": "glibc.malloc.arena_max"}


def limit_arenas() -> bool:
    """Makes all threads share one arena. Call it before the first thread; forks inherit it.

    Returns:
        Whether it was done: not without glibc, nor if the environment configures glibc.
    """
    mallopt = _glibc("mallopt")
    chosen = any(
        name in os.environ and part in os.environ[name] for name, part in _VARIABLES.items()
    )
    if mallopt is None or chosen:
        return False
    return mallopt(_M_ARENA_MAX, _ARENAS) == 1


def trim() -> None:
    """Returns all free memory to the system. Takes milliseconds, without the GIL."""
    malloc_trim = _glibc("malloc_trim")
    if malloc_trim is not None:
        malloc_trim(0)


def _glibc(name: str) -> Callable[..., int] | None:
    """A function of glibc; None with any other C library."""
    try:
        library = ctypes.CDLL(None)
    except (OSError, TypeError):  # no dynamic loading
        return None
    if not hasattr(library, "gnu_get_libc_version"):
        return None
    function: Callable[..., int] = getattr(library, name)
    return function


class Trimmer:
    """Trims in a background thread, at most once per interval.

    Args:
        work: Does the trimming.
        pause_seconds: Delay between a request and the trimming. Requests during the delay cause
            one more, as their memory may be freed later.
    """

    def __init__(self, work: Callable[[], None] = trim, pause_seconds: float = 1.0) -> None:
        self._work = work
        self._pause_seconds = pause_seconds
        self._lock = threading.Lock()
        self._asked = False
        self._again = False

    def request(self) -> None:
        """Schedules a trimming; returns immediately."""
        with self._lock:
            self._again = self._asked
            if self._asked:
                return
            self._asked = True
        self._start()

    def _start(self) -> None:
        # A thread per trimming, as a long-lived one would not survive the fork.
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
