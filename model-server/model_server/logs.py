"""Log output: one JSON object per line, or text. The only module that configures log handlers."""

import json
import logging
import sys
import time
from datetime import UTC, datetime

import orjson

REQUEST_LOGGER = "model_server.request"
# Attributes of every LogRecord; all others were passed as `extra`.
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class JsonFormatter(logging.Formatter):
    """Time (UTC, RFC 3339), severity, logger and message; then the fields passed as `extra`."""

    def format(self, record: logging.LogRecord) -> str:
        """One line of JSON."""
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "severity": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        line.update(_extra(record))
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        try:
            return orjson.dumps(line, default=str, option=orjson.OPT_NON_STR_KEYS).decode()
        except TypeError:  # text that is no Unicode, as in a file's name of another encoding
            return json.dumps(line, default=str)


class TextFormatter(logging.Formatter):
    """Time, severity and message, then the fields passed as `extra` as `key=value`.

    Whatever a client put into a value stays on its line: control characters are escaped, and the
    lines of a traceback are marked as such.
    """

    def __init__(self, times: str = "%H:%M:%S") -> None:
        super().__init__(datefmt=times)

    def format(self, record: logging.LogRecord) -> str:
        """One line, or more if there is a traceback."""
        extra = " ".join(f"{key}={value}" for key, value in _extra(record).items())
        when = self.formatTime(record, self.datefmt)
        line = _on_one_line(f"{when} {record.levelname:7} {record.getMessage()} {extra}".rstrip())
        if record.exc_info:
            for below in self.formatException(record.exc_info).splitlines():
                line += f"\n  | {_on_one_line(below)}"
        return line


def _on_one_line(text: str) -> str:
    """Control characters as Python writes them in a string; everything else as it is."""
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode() for char in text
    )


class _FewLines(logging.Handler):
    """Forwards at most one warning of a library per interval, with the number dropped."""

    def __init__(self, seconds: float) -> None:
        super().__init__(logging.WARNING)
        self._seconds = seconds
        self._next = 0.0
        self._left_out = 0

    def emit(self, record: logging.LogRecord) -> None:
        """Forwards or drops a record; called with the handler's lock held."""
        now = time.monotonic()
        if now < self._next:
            self._left_out += 1
            return
        extra = {"left_out": self._left_out}
        self._next, self._left_out = now + self._seconds, 0
        logging.getLogger("model_server").log(
            record.levelno, "%s: %s", record.name, record.getMessage(), extra=extra
        )


def limit_lines(logger: str, seconds: float) -> None:
    """Limits how often a library logs warnings.

    Args:
        logger: Name of the library's top-level logger.
        seconds: Minimum interval between two lines of all its loggers.
    """
    noisy = logging.getLogger(logger)
    noisy.handlers = [_FewLines(seconds)]
    noisy.propagate = False


def _extra(record: logging.LogRecord) -> dict[str, object]:
    return {key: value for key, value in vars(record).items() if key not in _STANDARD}


def configure_logging(level: str, form: str) -> None:
    """Sends all log output to stdout.

    Args:
        level: debug, info, warning or error.
        form: json or text.
    """
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(JsonFormatter() if form == "json" else TextFormatter())
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level.upper())
