"""Two installations that write one status notice each other and slow down."""

from __future__ import annotations

from inference_operator.cache.written import (
    LONGEST_PAUSE_SECONDS,
    QUIET_SECONDS,
    TOLERATED,
    WrittenStatus,
)

OURS, THEIRS = {"url": "ours"}, {"url": "theirs"}


def test_what_is_ours_is_no_contest() -> None:
    written = WrittenStatus()
    assert not written.see(THEIRS, 0.0), "what was there before the first write"
    written.wrote(OURS, 0.0)
    for now in range(100):
        assert not written.see(OURS, now)
        written.wrote(OURS, now)
    assert written.pause_s(100) <= 0


def test_a_contest_is_told_once_and_answered_ever_more_slowly() -> None:
    written, now, pauses, told = WrittenStatus(), 0.0, [], 0
    for _ in range(20):
        written.wrote(OURS, now)
        told += written.see(THEIRS, now)
        told += written.see(THEIRS, now)
        pauses.append(max(written.pause_s(now), 0.0))
        now += pauses[-1]
        assert written.pause_s(now) <= 0
    assert told == 1
    assert pauses[:TOLERATED] == [0.0] * TOLERATED
    assert pauses[TOLERATED : TOLERATED + 3] == [1.0, 2.0, 4.0]
    assert pauses[-1] == LONGEST_PAUSE_SECONDS


def test_after_a_while_of_peace_a_change_is_answered_at_once() -> None:
    written = WrittenStatus()
    for now in range(10):
        written.wrote(OURS, now)
        written.see(THEIRS, now)
    assert written.pause_s(10) > 0
    written.wrote(OURS, 10)
    assert not written.see(THEIRS, 11 + QUIET_SECONDS)
    assert written.pause_s(11 + QUIET_SECONDS) <= 0
