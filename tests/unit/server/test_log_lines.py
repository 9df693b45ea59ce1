"""A log line stays one line, whatever is in it."""

import json
import logging
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model_server.logs import JsonFormatter, TextFormatter

FORGED = "x\n00:00:00 INFO    all is well\r\x1b[2J\x85\u2028"


def record(message: str, **extra: object) -> logging.LogRecord:
    made = logging.makeLogRecord({"msg": "%s", "args": (message,), "levelname": "INFO"})
    vars(made).update(extra)
    return made


@given(st.text(), st.text())
def test_a_value_forges_no_line(message: str, value: str) -> None:
    line = TextFormatter().format(record(message, model=value))
    assert len(line.splitlines()) == 1
    assert line.isprintable()


@pytest.mark.parametrize("formatter", [TextFormatter(), JsonFormatter()])
def test_known_tricks(formatter: logging.Formatter) -> None:
    line = formatter.format(record(FORGED, path=FORGED, other=["\n"], odd="\udcff"))
    assert len(line.splitlines()) == 1
    assert "\x1b" not in line


def test_a_traceback_is_told_from_lines_of_the_log() -> None:
    try:
        raise ValueError(FORGED)
    except ValueError:
        made = record("it failed", exc_info=sys.exc_info())
    first, *below = TextFormatter().format(made).splitlines()
    assert first.endswith("it failed")
    assert below
    assert all(line.startswith("  | ") for line in below)


def test_json_stays_json() -> None:
    assert json.loads(JsonFormatter().format(record("a", odd="\udcff")))["message"] == "a"
