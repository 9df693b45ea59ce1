"""Of several replicas one leads; a clock of the test's own tells the time, so nothing waits."""

from __future__ import annotations

import asyncio
import threading

import pytest

from inference_operator.config import Config
from inference_operator.errors import ApiUnavailableError
from inference_operator.kubernetes.election import Candidate, Election
from support.memory_api import MemoryApi

DURATION = 15.0
PERIOD = DURATION / 3
# Who does not lead looks more often than the leader renews, so that little is added to the wait.
LOOK = 1.0


class Bench:
    """Replicas that share an API server but no clock."""

    def __init__(self, duration: float = DURATION) -> None:
        self.duration = duration
        self.api = MemoryApi()
        self.now: dict[str, float] = {}
        self.told: dict[str, list[bool]] = {}

    def replica(self, name: str, started_at: float = 0.0) -> Election:
        self.now[name], self.told[name] = started_at, []
        return Election(
            self.api,  # type: ignore[arg-type]
            Candidate(name, "system", self.duration),
            self.told[name].append,
            lambda: self.now[name],
        )

    def wait(self, seconds: float) -> None:
        for name in self.now:
            self.now[name] += seconds

    def leaders(self) -> list[str]:
        """Who was told last that it leads."""
        return [name for name, told in self.told.items() if told[-1:] == [True]]

    @property
    def holder(self) -> str:
        lease = self.api.objects["Lease", "system", "inference-operator"]
        return str(lease["spec"]["holderIdentity"])

    @property
    def transitions(self) -> int:
        lease = self.api.objects["Lease", "system", "inference-operator"]
        return int(lease["spec"]["leaseTransitions"])


def step(*replicas: Election) -> list[float]:
    """One step of each, one after the other; the pauses until their next ones."""
    return [asyncio.run(one.step()) for one in replicas]


def test_the_first_leads_and_renews() -> None:
    bench = Bench()
    one, two = bench.replica("one"), bench.replica("two", 9000.0)
    assert step(one, two) == [PERIOD, LOOK]
    for _ in range(10):
        bench.wait(PERIOD)
        step(one, two)
    assert bench.told == {"one": [True], "two": []}
    assert bench.transitions == 0


def test_a_lease_that_is_not_renewed_is_taken_over_after_its_duration() -> None:
    bench = Bench()
    one, two = bench.replica("one"), bench.replica("two", 9000.0)
    step(one, two)
    bench.wait(DURATION)
    step(two)
    assert bench.leaders() == ["one"], "not before its duration has passed"
    bench.wait(0.1)
    step(two)
    assert "two" in bench.leaders()
    assert (bench.holder, bench.transitions) == ("two", 1)
    step(one)
    assert bench.told["one"] == [True, False]


def test_the_wait_starts_anew_with_every_renewal() -> None:
    bench = Bench()
    one, two = bench.replica("one"), bench.replica("two")
    step(one, two)
    bench.wait(DURATION - 1)
    step(one, two)
    bench.wait(DURATION - 1)
    step(two)
    assert bench.leaders() == ["one"]


def test_a_leader_that_cannot_renew_stops_before_another_may_start() -> None:
    bench = Bench()
    one, two = bench.replica("one"), bench.replica("two")
    step(one, two)
    bench.api.refuse = lambda *_: ApiUnavailableError(0, "no network")
    bench.wait(PERIOD)
    (pause,) = step(one)
    assert bench.leaders() == ["one"], "it has some time left"
    assert pause == 1.0, "and tries again soon"
    bench.wait(PERIOD + 0.1)
    step(one)
    assert bench.leaders() == []
    bench.api.refuse = lambda *_: None
    step(two)
    assert bench.leaders() == [], "it still waits when the first has stopped already"


def test_a_leader_without_network_for_a_moment_goes_on() -> None:
    bench = Bench()
    one = bench.replica("one")
    step(one)
    bench.api.refuse = lambda *_: ApiUnavailableError(503, "busy")
    bench.wait(PERIOD)
    step(one)
    bench.api.refuse = lambda *_: None
    bench.wait(1.0)
    assert step(one) == [PERIOD]
    assert bench.told["one"] == [True]


@pytest.mark.parametrize("call", ["create", "replace"])
def test_of_two_at_the_same_time_one_leads(call: str) -> None:
    bench = Bench()
    one, two = bench.replica("one"), bench.replica("two")
    if call == "replace":
        step(one)
        asyncio.run(one.release())

    def faster(made: str, *_: str) -> None:
        """The other replica takes its whole step while this one is in the middle of its own."""
        if made == call:
            bench.api.refuse = lambda *_: None
            thread = threading.Thread(target=step, args=(one,))
            thread.start()
            thread.join()

    bench.api.refuse = faster
    step(two)
    assert bench.leaders() == ["one"]


def test_a_released_lease_is_taken_at_once() -> None:
    bench = Bench()
    one, two = bench.replica("one"), bench.replica("two")
    step(one, two)
    asyncio.run(one.release())
    assert bench.told["one"] == [True, False]
    assert bench.holder == ""
    step(two)
    assert bench.leaders() == ["two"]


def test_releasing_takes_nothing_from_a_successor() -> None:
    bench = Bench()
    one, two = bench.replica("one"), bench.replica("two")
    step(one, two)
    bench.wait(DURATION + 0.1)
    step(two)
    asyncio.run(one.release())
    assert bench.holder == "two"
    asyncio.run(one.release())
    assert bench.told["one"] == [True, False]


def test_a_restarted_replica_finds_its_own_lease() -> None:
    bench = Bench()
    step(bench.replica("one"))
    again = bench.replica("one")
    step(again)
    assert bench.leaders() == ["one"]
    assert bench.transitions == 0


def test_by_default_a_dead_leader_is_replaced_within_ten_seconds() -> None:
    """The worst case: it dies right after a renewal that the other had just missed."""
    duration = Config().lease_seconds
    bench = Bench(duration)
    one, two = bench.replica("one"), bench.replica("two", 9000.0)
    step(one, two)
    bench.wait(0.9 * LOOK)
    step(one)
    waited = 0.0
    while "two" not in bench.leaders():
        bench.wait(LOOK)
        waited += LOOK
        assert waited < 10, f"{waited} s after the last sign of life"
        step(two)


def test_a_frozen_leader_may_not_write_when_it_wakes() -> None:
    """Before its own election has noticed that it was replaced: its other tasks wake up too."""
    bench = Bench()
    one, two = bench.replica("one"), bench.replica("two")
    assert not one.may_write()
    step(one, two)
    assert (one.may_write(), two.may_write()) == (True, False)
    bench.wait(DURATION + 0.1)
    assert bench.leaders() == ["one"], "nobody has told it yet"
    assert not one.may_write()
    step(two)
    assert two.may_write()
    step(one)
    assert not one.may_write()
