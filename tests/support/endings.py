"""What a test has started ends with the test's process, also when that one is killed."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

# prctl(2): PR_SET_PDEATHSIG is 1, and it outlives the exec. Not `preexec_fn`, which may deadlock
# where there are threads.
_BECOME = """
import ctypes, os, sys
ctypes.CDLL(None).prctl(1, 15)
if os.getppid() != int(sys.argv[1]):
    sys.exit("who started this has ended")
os.execvp(sys.argv[2], sys.argv[2:])
"""
_WAIT = (
    "import subprocess, sys; sys.stdin.read(); subprocess.run(sys.argv[1:], capture_output=True)"
)


def ends_with_us(command: Sequence[str]) -> list[str]:
    """A command line that becomes `command`, with SIGTERM to come when its parent has ended."""
    return [sys.executable, "-I", "-S", "-c", _BECOME, str(os.getpid()), *command]


@contextmanager
def afterwards(command: Sequence[str]) -> Iterator[None]:
    """Runs `command` when the `with` block ends, or when this process does, however it ends.

    For what has left our process tree and so cannot be told by the kernel.
    """
    waiting = subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", _WAIT, *command],
        stdin=subprocess.PIPE,
        start_new_session=True,  # Ctrl-C is for us; it would not get to the command
    )
    try:
        yield
    finally:
        waiting.communicate(timeout=120)
