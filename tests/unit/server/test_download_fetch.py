"""Tries, resuming and limits, with sources that fail in every way."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model_server.download.errors import (
    ChecksumMismatch,
    DownloadFailed,
    ModelTooLarge,
    NoSpace,
    Transient,
)
from model_server.download.fetch import Patience, fetch
from model_server.download.progress import Progress, amount, duration
from model_server.download.sources import Body, Item

DATA = bytes(range(256)) * 40
DIGEST = hashlib.sha256(DATA).hexdigest()


class Source:
    """Serves DATA; each try breaks after some bytes, the last one does not.

    Attributes:
        asked: (offset, validator) of each try.
    """

    def __init__(self, *breaks: int, validators: tuple[str, ...] = ('"v1"',)) -> None:
        self.breaks = list(breaks)
        self.validators = list(validators)
        self.asked: list[tuple[int, str]] = []
        self.closed = 0
        self.data = DATA

    def __call__(self, offset: int, validator: str) -> Body:
        self.asked.append((offset, validator))
        current = self.validators.pop(0) if len(self.validators) > 1 else self.validators[0]
        start = offset if validator == current and current else 0
        return Body(start, len(self.data), current, self._chunks(start), self._close)

    def _chunks(self, start: int) -> Iterator[bytes]:
        end = start + self.breaks.pop(0) if self.breaks else len(self.data)
        for at in range(start, min(end, len(self.data)), 100):
            yield self.data[at : min(at + 100, end)]
        if end < len(self.data):
            raise Transient("the connection broke")

    def _close(self) -> None:
        self.closed += 1


def patience(**changes: object) -> Patience:
    waits: list[float] = []
    made = Patience(sleep=waits.append, jitter=lambda: 0.0, **changes)  # type: ignore[arg-type]
    made.waits = waits  # type: ignore[attr-defined]
    return made


def item(source: Callable[[int, str], Body], sha256: str = "") -> Item:
    return Item("m.tflite", "https://host/m.tflite", source, sha256)


def test_one_go(tmp_path: Path) -> None:
    source = Source()
    fetched = fetch(item(source, DIGEST), tmp_path / "part", 1 << 20, patience())
    assert (fetched.size, fetched.sha256) == (len(DATA), DIGEST)
    assert fetched.path.read_bytes() == DATA
    assert source.closed == 1
    assert [path.name for path in tmp_path.iterdir()] == ["part"]


def test_broken_connections_are_continued(tmp_path: Path) -> None:
    source = Source(1000, 0, 2050)
    waiting = patience()
    fetched = fetch(item(source, DIGEST), tmp_path / "part", 1 << 20, waiting)
    assert fetched.path.read_bytes() == DATA
    assert source.asked == [(0, ""), (1000, '"v1"'), (1000, '"v1"'), (3050, '"v1"')]
    assert source.closed == 4
    assert waiting.waits == [1, 2, 4]  # type: ignore[attr-defined]


def test_without_a_validator_everything_is_fetched_again(tmp_path: Path) -> None:
    source = Source(1000, validators=("",))
    fetch(item(source, DIGEST), tmp_path / "part", 1 << 20, patience())
    assert source.asked == [(0, ""), (0, "")]


def test_a_file_that_changes_in_between_is_fetched_again(tmp_path: Path) -> None:
    source = Source(1000, validators=('"v1"', '"v2"'))
    fetched = fetch(item(source, DIGEST), tmp_path / "part", 1 << 20, patience())
    assert fetched.path.read_bytes() == DATA


def test_the_next_run_goes_on_where_this_one_ended(tmp_path: Path) -> None:
    source = Source(1000, 0)
    with pytest.raises(DownloadFailed, match=r"the connection broke \(after 2 tries\)"):
        fetch(item(source), tmp_path / "part", 1 << 20, patience(attempts=2))
    again = Source()
    fetched = fetch(item(again), tmp_path / "part", 1 << 20, patience())
    assert again.asked == [(1000, '"v1"')]
    assert fetched.sha256 == DIGEST


def test_a_part_of_something_else_is_not_continued(tmp_path: Path) -> None:
    with pytest.raises(DownloadFailed):
        fetch(item(Source(1000)), tmp_path / "part", 1 << 20, patience(attempts=1))
    other = Source()
    fetch(Item("m", "https://host/other", other), tmp_path / "part", 1 << 20, patience())
    assert other.asked == [(0, "")]


def test_the_other_sides_wish_to_wait_is_kept(tmp_path: Path) -> None:
    tries = iter([Transient("busy", retry_after=7.0), Transient("busy")])
    source = Source()

    def busy(offset: int, validator: str) -> Body:
        if error := next(tries, None):
            raise error
        return source(offset, validator)

    waiting = patience()
    fetch(item(busy), tmp_path / "part", 1 << 20, waiting)
    assert waiting.waits == [7, 2]  # type: ignore[attr-defined]


def test_progress_makes_tries_free(tmp_path: Path) -> None:
    source = Source(*[1 << 20] * 8)
    source.data = b"x" * (8 << 20)
    fetch(item(source), tmp_path / "part", 1 << 30, patience(attempts=2))


def test_the_time_is_limited(tmp_path: Path) -> None:
    now = iter(range(0, 10_000, 10))
    with pytest.raises(DownloadFailed, match="took longer than 1 min 40 s"):
        fetch(
            item(Source()),
            tmp_path / "part",
            1 << 20,
            patience(seconds=100, clock=lambda: float(next(now))),
        )


def test_no_wait_longer_than_the_time_left(tmp_path: Path) -> None:
    def busy(_offset: int, _validator: str) -> Body:
        raise Transient("busy", retry_after=500.0)

    waiting = patience(seconds=100)
    with pytest.raises(DownloadFailed, match="no time is left for another try"):
        fetch(item(busy), tmp_path / "part", 1 << 20, waiting)
    assert waiting.waits == []  # type: ignore[attr-defined]


def test_a_wrong_checksum_names_both(tmp_path: Path) -> None:
    with pytest.raises(ChecksumMismatch, match=f"SHA-256 {DIGEST}, but {'0' * 64} was asked for"):
        fetch(item(Source(), "0" * 64), tmp_path / "part", 1 << 20, patience())


def test_a_size_that_is_told_is_checked_before_anything_is_read(tmp_path: Path) -> None:
    with pytest.raises(ModelTooLarge, match=r"more than the 1.0 kB that are allowed"):
        fetch(item(Source()), tmp_path / "part", 1000, patience())
    assert list(tmp_path.iterdir()) == []


def test_a_size_that_is_not_told_is_counted(tmp_path: Path) -> None:
    def endless(_offset: int, _validator: str) -> Body:
        return Body(0, None, "", iter(lambda: b"x" * 100, b""), lambda: None)

    with pytest.raises(ModelTooLarge):
        fetch(item(endless), tmp_path / "part", 1000, patience())
    assert (tmp_path / "part").stat().st_size <= 1000


def test_more_than_the_volume_has_is_told_before_it_is_fetched(tmp_path: Path) -> None:
    def vast(_offset: int, _validator: str) -> Body:
        return Body(0, 1 << 60, "", iter(()), lambda: None)

    with pytest.raises(NoSpace, match=r"needs 1152921\.5 TB more, but the volume has"):
        fetch(item(vast), tmp_path / "part", 1 << 61, patience())


def test_an_end_too_early_is_not_the_end(tmp_path: Path) -> None:
    def short(_offset: int, _validator: str) -> Body:
        return Body(0, 100, "", iter([b"x" * 60]), lambda: None)

    with pytest.raises(DownloadFailed, match="ended after 60 of 100 bytes"):
        fetch(item(short), tmp_path / "part", 1 << 20, patience(attempts=1))


@given(breaks=st.lists(st.integers(0, len(DATA)), max_size=6), changes=st.booleans())
def test_any_series_of_breaks_gives_the_whole_file(
    breaks: list[int], changes: bool, tmp_path_factory: pytest.TempPathFactory
) -> None:
    validators = ('"v1"', '"v2"', '"v3"') if changes else ('"v1"',)
    source = Source(*breaks, validators=validators)
    part = tmp_path_factory.mktemp("fetch") / "part"
    fetched = fetch(item(source, DIGEST), part, 1 << 20, patience(attempts=20))
    assert fetched.path.read_bytes() == DATA


def test_insist() -> None:
    tries = iter([Transient("once"), Transient("twice")])

    def action() -> str:
        if error := next(tries, None):
            raise error
        return "done"

    assert patience().insist(action, "a listing") == "done"
    with pytest.raises(DownloadFailed, match=r"a listing: no \(after 3 tries\)"):
        patience(attempts=3).insist(lambda: _raise(Transient("no")), "a listing")


def _raise(error: Exception) -> None:
    raise error


def test_progress_is_logged_every_few_seconds(caplog: pytest.LogCaptureFixture) -> None:
    now = iter([0.0, 1.0, 5.0, 7.0, 10.0])
    caplog.set_level("INFO")
    progress = Progress("m", 1000_000, 0, lambda: next(now))
    for _ in range(4):
        progress.add(100_000)
    assert caplog.messages == [
        "m: 20 % of 1.0 MB, 40.0 kB/s, 20 s left",
        "m: 40 % of 1.0 MB, 40.0 kB/s, 15 s left",
    ]


def test_figures_for_people() -> None:
    assert [amount(count) for count in (0, 999, 1000, 4_183_312, 999_960, 3 * 10**12)] == [
        *("0 B", "999 B", "1.0 kB", "4.2 MB", "1.0 MB", "3.0 TB")
    ]
    assert [duration(s) for s in (0.02, 7, 59, 200, 7500)] == [
        *("0.0 s", "7.0 s", "59 s", "3 min 20 s", "2 h 5 min")
    ]
