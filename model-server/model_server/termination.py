"""Reports why a process ends: on stderr and in the container's termination message.

The operator reads reason and message from the termination message.
"""

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path

TERMINATION_LOG = Path("/dev/termination-log")
_LONGEST_SHOWN = 3
_MAX_MESSAGE = 2000  # Kubernetes keeps 4096 bytes of all containers' messages together


def report_end(program: str, reason: str, termination_log: Path = TERMINATION_LOG) -> None:
    """Writes why the process ends, on one line, to stderr and to the termination message.

    Args:
        program: Who says so, as the user called it.
        reason: `Reason: message`, as the operator reads it.
        termination_log: Kubernetes mounts it; elsewhere there is none, and none is made.
    """
    line = " ".join(printable(reason).split())[:_MAX_MESSAGE]
    print(f"{program}: {line}", file=sys.stderr, flush=True)
    _write(line, termination_log)


def report_digest(sha256: str, termination_log: Path = TERMINATION_LOG) -> None:
    """Write the digest of what was downloaded, as `sha256:HEX`, to the termination message.

    Args:
        sha256: In hex; nothing is written when it is empty.
        termination_log: As in `report_end`.
    """
    if sha256:
        _write(f"sha256:{sha256}", termination_log)


def _write(line: str, termination_log: Path) -> None:
    try:
        if termination_log.exists():
            termination_log.write_text(line + "\n", encoding="utf-8")
    except OSError as error:
        print(f"cannot write {termination_log}: {error.strerror}", file=sys.stderr)


def without_values(text: str, environment: Mapping[str, str], prefix: str) -> str:
    """A text with the name of a variable wherever the variable's value is.

    A variable may come from a Secret that its user was not meant to read, and what ends a
    container is shown in status and Events. Values of up to three characters stay: to find them
    everywhere would garble the text, and they are no secrets.

    Args:
        text: About to be shown.
        environment: The variables.
        prefix: Of the names of those that the text may quote.
    """
    values = {
        value: name
        for name, value in environment.items()
        if name.startswith(prefix) and len(value) > _LONGEST_SHOWN
    }
    for value in sorted(values, key=len, reverse=True):
        text = text.replace(value, f"(the value of {values[value]})")
    return text


def printable(text: str) -> str:
    """A text that others may have written, for a terminal: control characters as spaces."""
    return "".join(char if char.isprintable() else " " for char in text)


def add_flag(parser: argparse.ArgumentParser) -> None:
    """The flag `--termination-log` of a command that runs in an init container."""
    parser.add_argument(
        "--termination-log",
        type=Path,
        default=TERMINATION_LOG,
        metavar="FILE",
        help="where the reason of a failure is written (default: %(default)s)",
    )
