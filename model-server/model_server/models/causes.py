"""The line of a framework's error that names the cause.

TensorFlow and Keras write pages: where the error was noticed first, the cause somewhere below.
"""

import re

# Lines that say where, not why.
_WHERE = re.compile(
    r"Graph execution error|Detected at node|File \"|\[\[\{\{node|Stack trace|<stack traces|"
    r"\d+ root error|\(\d+\) |Node:|The stack trace below|Arguments received by|"
    r"\s*[•*] |Full object config|config=|Hint:|Traceback"
)
# Lines behind which Keras writes what went wrong.
_TELLING = ("Exception encountered:", "Error when deserializing", "Unrecognized keyword")
_LONGEST = 400


def cause_of(error: BaseException) -> str:
    """One line for people: the cause, else the first line, else the error's type."""
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
