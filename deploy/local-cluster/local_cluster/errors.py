"""What can go wrong that a person can do something about.

Every message says what was wrong and what to do. Nothing here does IO.
"""

from __future__ import annotations

EXIT_FAILED = 1
EXIT_UNSUITABLE = 2


class ClusterError(Exception):
    """Something failed; the message says what, where to look and what to do."""

    exit_code = EXIT_FAILED


class UnsuitableMachineError(ClusterError):
    """This machine cannot run the local cluster; the message says what is needed."""

    exit_code = EXIT_UNSUITABLE


class CommandError(ClusterError):
    """An external command ended with an error.

    Attributes:
        output: what the command printed, standard output and error together.
    """

    def __init__(self, command: list[str], status: int, output: str) -> None:
        self.output = output
        tail = "\n".join(output.strip().splitlines()[-15:])
        super().__init__(f"`{' '.join(command)}` ended with status {status}:\n{tail}")
