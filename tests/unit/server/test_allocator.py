"""The C library's settings: chosen once, not against the environment, and nothing without glibc."""

import ctypes
import threading
from typing import Any

import pytest

from model_server.system import allocator
from support.poll import eventually


class Glibc:
    """Notes what is asked of it."""

    def __init__(self) -> None:
        self.asked: list[tuple[int, ...]] = []

    def gnu_get_libc_version(self) -> str:
        return "2.36"

    def mallopt(self, *arguments: int) -> int:
        self.asked.append(arguments)
        return 1

    def malloc_trim(self, *arguments: int) -> int:
        self.asked.append(arguments)
        return 1


class Musl:
    """Has functions of the same names, which do something else or nothing."""

    def mallopt(self, *_: int) -> int:
        raise AssertionError("not of this library")

    malloc_trim = mallopt


@pytest.fixture
def glibc(monkeypatch: pytest.MonkeyPatch) -> Glibc:
    library = Glibc()
    monkeypatch.setattr(ctypes, "CDLL", lambda _: library)
    for name in ("MALLOC_ARENA_MAX", "GLIBC_TUNABLES"):
        monkeypatch.delenv(name, raising=False)
    return library


def test_one_arena_is_asked_for(glibc: Glibc) -> None:
    assert allocator.limit_arenas()
    assert glibc.asked == [(-8, 1)]  # M_ARENA_MAX in malloc.h


@pytest.mark.parametrize(
    ("name", "value", "limited"),
    [
        ("MALLOC_ARENA_MAX", "4", False),
        ("GLIBC_TUNABLES", "glibc.malloc.check=1:glibc.malloc.arena_max=2", False),
        ("GLIBC_TUNABLES", "glibc.malloc.check=1", True),
    ],
)
def test_what_the_environment_chose_stays(
    glibc: Glibc, monkeypatch: pytest.MonkeyPatch, name: str, value: str, limited: bool
) -> None:
    monkeypatch.setenv(name, value)
    assert allocator.limit_arenas() is limited
    assert bool(glibc.asked) is limited


def test_trimming_gives_back_all_that_is_free(glibc: Glibc) -> None:
    allocator.trim()
    assert glibc.asked == [(0,)]


def _no_library(_: object) -> Any:
    raise OSError("no dynamic loading")


@pytest.mark.parametrize("load", [lambda _: Musl(), _no_library])
def test_without_glibc_nothing_happens(monkeypatch: pytest.MonkeyPatch, load: Any) -> None:
    monkeypatch.setattr(ctypes, "CDLL", load)
    assert not allocator.limit_arenas()
    allocator.trim()


def _timers_of(trimmer: allocator.Trimmer) -> list[threading.Timer]:
    """Its own alone: other tests of the same process leave threads too."""
    return [
        thread
        for thread in threading.enumerate()
        if isinstance(thread, threading.Timer)
        and getattr(thread.function, "__self__", None) is trimmer
    ]


def test_many_requests_are_one_trimming_and_one_for_the_late() -> None:
    trimmed: list[int] = []
    trimmer = allocator.Trimmer(lambda: trimmed.append(1), pause_seconds=0.05)
    for _ in range(50):
        trimmer.request()
    eventually(lambda: len(trimmed) == 2, "both have trimmed", 10)
    trimmer.request()
    eventually(lambda: len(trimmed) >= 3, "it trims when asked later", 10)
    eventually(lambda: not _timers_of(trimmer), "no timer of its own is left", 10)
    assert len(trimmed) == 3
