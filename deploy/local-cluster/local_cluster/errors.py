"""Errors that a user can act on: every message says what is wrong and what to do."""

from __future__ import annotations

EXIT_FAILED = 1
EXIT_UNSUITABLE = 2


class ClusterError(Exception):
    """A command failed; the message says what failed, where to look and what to do."""

    exit_code = EXIT_FAILED


class UnsuitableMachineError(ClusterError):
    """This machine cannot run a cluster; the message says what is missing."""

    exit_code = EXIT_UNSUITABLE


class CommandError(ClusterError):
    """An external command failed.

    Attributes:
        output: the command's standard output and standard error.
    """

    def __init__(self, command: list[str], status: int, output: str) -> None:
        self.output = output
        tail = "\n".join(output.strip().splitlines()[-15:])
        super().__init__(f"`{' '.join(command)}` failed with exit status {status}:\n{tail}")
