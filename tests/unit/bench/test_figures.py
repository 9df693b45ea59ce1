"""From answers to figures."""

from __future__ import annotations

import json

import pytest

from bench.load import Answer, parse
from bench.serving import figures, wire


def answer(
    sent: float, took: float, status: int = 200, body: bytes = b"", error: str = ""
) -> Answer:
    return Answer(sent, took, status, body, error)


def says(*labels: str) -> bytes:
    return json.dumps({"detections": [{"label": label} for label in labels]}).encode()


def test_an_answer_is_right_when_it_names_the_picture_first() -> None:
    read = wire.RAW_BODY.read
    assert figures.is_right(answer(0, 1, body=says("cat", "dog")), read, {"cat"})
    assert not figures.is_right(answer(0, 1, body=says("dog", "cat")), read, {"cat"})
    assert not figures.is_right(answer(0, 1, body=says()), read, {"cat"})
    assert not figures.is_right(answer(0, 1, 503, says("cat")), read, {"cat"})
    assert not figures.is_right(answer(0, 1, body=b"<html>"), read, {"cat"})
    assert not figures.is_right(answer(0, 1, body=b"[]"), read, {"cat"})


def test_a_picture_is_right_when_it_is_a_jpeg() -> None:
    assert figures.is_right(answer(0, 1, body=b"\xff\xd8\xff"), None, set())
    assert not figures.is_right(answer(0, 1, body=b"\x89PNG"), None, set())


def test_a_closed_loop_counts_what_was_done_in_its_window() -> None:
    answers = [answer(at / 100, 0.02) for at in range(300)]
    right = [True] * 299 + [False]
    found = figures.closed(answers, right, begin=1.0, seconds=1.0)
    assert found["images_per_second"] == 100
    assert found["images"] == 100
    assert found["wrong"] == 0
    assert found["p50_ms"] == pytest.approx(20)


def test_a_slow_closed_loop_is_not_rounded_to_whole_answers() -> None:
    # 3.5 answers a second fit three or four times into a second; the spacing tells the truth.
    answers = [answer(at / 3.5, 0.2) for at in range(20)]
    found = figures.closed(answers, [True] * 20, begin=0.5, seconds=4.0)
    assert found["images_per_second"] == pytest.approx(3.5, rel=0.01)


def test_a_burst_is_not_a_pace() -> None:
    # Eight answers within two milliseconds of a second are eight a second, not four thousand.
    answers = [answer(0.5 + at / 4000, 0.001) for at in range(8)]
    found = figures.closed(answers, [True] * 8, begin=0.0, seconds=1.0)
    assert found["images_per_second"] == pytest.approx(8, abs=1)


def test_wrong_answers_are_counted_apart() -> None:
    answers = [answer(0.1, 0.1), answer(0.2, 0.1)]
    found = figures.closed(answers, [True, False], begin=0, seconds=1)
    assert (found["images"], found["wrong"]) == (1, 1)


def test_a_server_that_answers_nothing_has_no_latency() -> None:
    assert figures.closed([], [], 0, 1)["p99_ms"] is None


def test_an_open_loop_tells_refusals_from_failures() -> None:
    answers = [
        answer(0.0, 0.1),
        answer(0.1, 0.002, 503),
        answer(0.2, 0.003, 503),
        answer(0.3, 15, 0, error="timeout"),
        answer(0.4, 0.1, 500),
        answer(0.9, 0.2),
    ]
    right = [True, False, False, False, False, True]
    found = figures.open_loop(answers, right, offered=10, seconds=1.0)
    assert found["refused"] == 2
    assert found["failed"] == 2
    # The last came after the load had ended: it is right, and late.
    assert found["goodput_per_second"] == 1
    assert found["refused_p99_ms"] == pytest.approx(2.99)


def test_vegetas_csv_is_read_in_the_order_of_the_schedule() -> None:
    text = (
        "1700000001000000000,200,5000000,10,2,,eyJ4IjoxfQ==,,1,POST,http://127.0.0.1/,\n"
        '1700000000000000000,0,7000000,10,0,"dial, refused",,,0,POST,http://127.0.0.1/,\n'
    )
    first, second = parse(text)
    assert (first.status, first.error) == (0, "dial, refused")
    assert (second.status, second.took, second.body) == (200, 0.005, b'{"x":1}')
    assert second.done == pytest.approx(1700000001.005)
