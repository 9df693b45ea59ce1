"""Reports why a process ends: on stderr and in the container's termination message.

The operator reads reason and message from the termination message.
"""

import argparse
import sys
from pathlib import Path

TERMINATION_LOG = Path("/dev/termination-log")
_MAX_MESSAGE = 2000  # Kubernetes keeps 4096 bytes of all containers' messages together


def report_end(program: str, reason: str, termination_log: Path = TERMINATION_LOG) -> None:
    """Writes why the process ends, on one line, to stderr and to the termination message.

    Args:
        program: Who says so, as the user called it.
        reason: `Reason: message`, as the operator reads it.
        termination_log: Kubernetes mounts it; elsewhere there is none, and none is made.
    """
    line = " ".join(reason.split())[:_MAX_MESSAGE]
    print(f"{program}: {line}", file=sys.stderr, flush=True)
    try:
        if termination_log.exists():
            termination_log.write_text(line + "\n", encoding="utf-8")
    except OSError as error:
        print(f"cannot write {termination_log}: {error.strerror}", file=sys.stderr)


def add_flag(parser: argparse.ArgumentParser) -> None:
    """The flag `--termination-log` of a command that runs in an init container."""
    parser.add_argument(
        "--termination-log",
        type=Path,
        default=TERMINATION_LOG,
        metavar="FILE",
        help="where the reason of a failure is written (default: %(default)s)",
    )
