"""Log lines: one JSON object a line for machines, or text for people.

Log handlers are configured here and nowhere else.
"""

import logging
import sys
from datetime import UTC, datetime

import orjson

REQUEST_LOGGER = "model_server.request"
# What a LogRecord always has: everything else was given as `extra`.
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class JsonFormatter(logging.Formatter):
    """Time (UTC, RFC 3339), severity, logger and message; then whatever was passed as `extra`."""

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
        return orjson.dumps(line, default=str, option=orjson.OPT_NON_STR_KEYS).decode()


class TextFormatter(logging.Formatter):
    """Time, severity and message, then `key=value` for whatever was passed as `extra`."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)-7s %(message)s", "%H:%M:%S")

    def format(self, record: logging.LogRecord) -> str:
        """One line, or more if there is a traceback."""
        extra = " ".join(f"{key}={value}" for key, value in _extra(record).items())
        return f"{super().format(record)} {extra}".rstrip()


def _extra(record: logging.LogRecord) -> dict[str, object]:
    return {key: value for key, value in vars(record).items() if key not in _STANDARD}


def configure_logging(level: str, form: str) -> None:
    """Sends all log lines to stdout in one form.

    Args:
        level: debug, info, warning or error.
        form: json or text.
    """
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(JsonFormatter() if form == "json" else TextFormatter())
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level.upper())
