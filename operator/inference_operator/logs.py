"""Logging: the operator's own messages, and kopf's from WARNING.

kopf would log a line for every watch event.
"""

from __future__ import annotations

import logging

from pythonjsonlogger.json import JsonFormatter

_PLAIN = "%(asctime)s %(levelname)-7s %(message)s"
_FIELDS = "%(asctime)s %(levelname)s %(name)s %(message)s"


class NoRepetition(logging.Filter):
    """Drops what kopf says of an answer of the API server that ends it.

    Each of its tasks would log the same traceback; the command says it once, in one line.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether to log this."""
        error = record.exc_info[1] if record.exc_info else None
        fatal = any(kind.__module__.startswith("kopf.") for kind in type(error).__mro__)
        return not (fatal and record.getMessage().partition(":")[0].endswith("has failed"))


def configure_logging(log_format: str) -> None:
    """Log to standard error, as `plain` text or as one `json` object per line."""
    handler = logging.StreamHandler()
    renamed = {"asctime": "time", "levelname": "level", "name": "logger"}
    plain = logging.Formatter(_PLAIN)
    handler.setFormatter(
        JsonFormatter(_FIELDS, rename_fields=renamed) if log_format == "json" else plain
    )
    handler.addFilter(NoRepetition())
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    for name in ("kopf.objects", "kopf.activities", "kopf._core", "aiohttp.access"):
        logging.getLogger(name).setLevel(logging.WARNING)
