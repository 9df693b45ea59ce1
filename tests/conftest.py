"""What holds for every suite."""

from __future__ import annotations

import hypothesis
import pytest

LONGEST_TEXT_IN_A_NAME = 24
# How long an example takes says how busy the machine is.
hypothesis.settings.register_profile("untimed", deadline=None)
hypothesis.settings.load_profile("untimed")


def pytest_make_parametrize_id(config: pytest.Config, val: object, argname: str) -> str | None:
    """Name bytes that are no short text after their argument, not after their content.

    An archive holds the time at which it was made: two workers that collect a second apart would
    disagree on the names of the tests, and pytest-xdist then runs none.
    """
    if not isinstance(val, bytes):
        return None
    text = val.decode("latin-1")
    readable = val.isascii() and text.isprintable() and len(text) <= LONGEST_TEXT_IN_A_NAME
    return None if readable else argname


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--chaos",
        choices=["part", "whole"],
        default="part",
        help="how much of tests/chaos: what `make test` has time for, or everything",
    )
