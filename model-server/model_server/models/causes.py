"""Extracts the cause from a framework's error message.

TensorFlow and Keras errors run to pages: first where the error was noticed, then, further down, the
cause.
"""

import re

# Lines that say where the error happened, not why.
_WHERE = re.compile(
    r"Graph execution error|Detected at node|File \"|\[\[\{\{node|Stack trace|<stack traces|"
    r"\d+ root error|\(\d+\) |Node:|The stack trace below|Arguments received by|"
    r"\s*[•*] |Full object config|config=|Hint:|Traceback"
)
# Markers of the lines in which Keras says what went wrong.
_TELLING = ("Exception encountered:", "Error when deserializing", "Unrecognized keyword")
_LONGEST = 400


def cause_of(error: BaseException) -> str:
    """Returns one readable line: the cause, or the first line, or the error's type."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if not lines:
        return type(error).__name__
    for telling in _TELLING:
        for line in lines:
            if telling in line:
                return _short(line.removeprefix("Exception encountered:").strip())
    marked = [index for index, line in enumerate(lines) if line.startswith("[[{{node")]
    if marked and marked[0] > 0:
        before = re.sub(r"^\(\d+\) ", "", lines[marked[0] - 1])
        if not _WHERE.match(before):
            return _short(before)
    rest = [line for line in lines if not _WHERE.match(line)]
    return _short((rest or lines)[0])


def _short(line: str) -> str:
    line = re.sub(r"\s*\[Op:[^\]]*\](?: name:.*)?$", "", line)
    return line if len(line) <= _LONGEST else line[: _LONGEST - 3] + "..."
