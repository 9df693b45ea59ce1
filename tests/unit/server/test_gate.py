"""Admission: how many are in, how many wait, who is turned away."""

import threading
import time
from functools import partial
from typing import Any

import pytest

from model_server.errors import ClientGone, DeadlineExceeded, ImageTooLarge, Overloaded
from model_server.request.budgets import BodyBudget, PictureBudget
from model_server.request.context import RequestContext
from model_server.request.gate import Gate
from support.poll import eventually


def _waits(gate: Gate, count: int) -> bool:
    return gate.waiting == count


def context(seconds: float = 30.0) -> Any:
    return RequestContext(deadline=time.monotonic() + seconds)


def test_no_more_inside_than_allowed() -> None:
    gate = Gate(concurrency=3, queue_size=100)
    seen = []

    def work() -> None:
        with gate.admit(context()):
            seen.append(gate.inside)
            time.sleep(0.002)

    threads = [threading.Thread(target=work) for _ in range(40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(seen) == 40
    assert max(seen) <= 3
    assert (gate.inside, gate.waiting) == (0, 0)


def test_first_come_first_served_and_the_wait_is_measured() -> None:
    gate = Gate(concurrency=1, queue_size=10)
    order, contexts = [], [context() for _ in range(4)]

    def work(index: Any) -> None:
        with gate.admit(contexts[index]):
            order.append(index)

    with gate.admit(context()):
        threads = []
        for index in range(4):
            threads.append(threading.Thread(target=work, args=(index,)))
            threads[-1].start()
            eventually(partial(_waits, gate, index + 1), "the thread waits", interval_s=0.001)
    for thread in threads:
        thread.join()
    assert order == [0, 1, 2, 3]
    assert all(item.stages["queue"] > 0 for item in contexts)


def test_one_more_than_may_wait_is_turned_away_at_once() -> None:
    gate = Gate(concurrency=1, queue_size=0)
    with (
        gate.admit(context()),
        pytest.raises(Overloaded) as caught,
        gate.admit(context()),
    ):
        pass
    assert caught.value.status == 503
    assert caught.value.headers == {"Retry-After": "1"}


def test_a_look_says_what_admission_would_say_and_admits_nobody() -> None:
    gate = Gate(concurrency=1, queue_size=0)
    assert gate.refusal(context()) is None
    looking = context()
    with gate.admit(context()):
        refused = gate.refusal(looking)
        with pytest.raises(Overloaded) as caught, gate.admit(context()):
            pass
        assert (gate.inside, gate.waiting) == (1, 0)
    assert refused is not None
    assert refused.message == caught.value.message
    assert "queue" in looking.stages
    assert (gate.inside, gate.waiting) == (0, 0)
    roomy = Gate(concurrency=1, queue_size=1)
    with roomy.admit(context()):
        assert roomy.refusal(context()) is None


def test_who_would_wait_longer_than_it_has_time_is_turned_away_at_once() -> None:
    now = [0.0]
    gate = Gate(concurrency=1, queue_size=10, clock=lambda: now[0])
    leaving, threads = threading.Semaphore(0), []

    def work() -> None:
        with gate.admit(context()):
            leaving.acquire()

    def leave(count: int) -> None:
        now[0] += 7.0
        leaving.release()
        eventually(partial(_waits, gate, count), "one left", interval_s=0.001)

    with gate.admit(context()):
        for count in range(5):
            threads.append(threading.Thread(target=work))
            threads[-1].start()
            eventually(partial(_waits, gate, count + 1), "one waits", interval_s=0.001)
    eventually(partial(_waits, gate, 4), "one is inside", interval_s=0.001)
    leave(3)
    leave(2)
    # One leaves in 7 seconds and two wait.
    with pytest.raises(Overloaded, match=r"would be 21\.0 s") as caught, gate.admit(context(15)):
        pass
    assert "3 requests" not in caught.value.message
    # Who would make it only just, if nothing got slower, is not let in either.
    assert gate.refusal(context(23)) is not None
    assert gate.refusal(context(26)) is None
    late = gate.refusal(context(15))
    assert late is not None
    assert "would be 21.0 s" in late.message
    assert late.headers == {"Retry-After": "7"}, "before one has left it would be refused again"
    assert gate.waiting == 2
    threads.append(threading.Thread(target=work))  # has half a minute
    threads[-1].start()
    eventually(partial(_waits, gate, 3), "another waits", interval_s=0.001)
    for count in (2, 1, 0):
        leave(count)
    # However slow it was: where nobody waits, anybody may.
    last = threading.Thread(target=work)
    last.start()
    leaving.release(2)
    for thread in (*threads, last):
        thread.join(10)
    with gate.admit(context(0.5)):
        assert (gate.inside, gate.waiting) == (1, 0)


def test_whoever_waits_too_long_gives_up_and_leaves_the_queue() -> None:
    gate = Gate(concurrency=1, queue_size=5)
    with gate.admit(context()):
        with pytest.raises(DeadlineExceeded), gate.admit(context(0.01)):
            pass
        assert gate.waiting == 0
    with gate.admit(context()):
        assert gate.inside == 1


def test_an_error_inside_gives_the_place_back() -> None:
    gate = Gate(concurrency=1, queue_size=0)
    with pytest.raises(RuntimeError), gate.admit(context()):
        raise RuntimeError
    assert gate.inside == 0


def test_a_request_nobody_waits_for_is_not_computed() -> None:
    gone = context()
    gone.client_gone = lambda: True
    with pytest.raises(ClientGone):
        gone.check()
    with pytest.raises(DeadlineExceeded):
        context(-1).check()


def test_bodies_of_all_requests_share_a_budget() -> None:
    budget = BodyBudget(100)
    budget.reserve(70)
    with pytest.raises(Overloaded):
        budget.reserve(40)
    budget.reserve(30)
    budget.release(70)
    budget.release(30)
    budget.reserve(500)  # alone, anything goes: the limit of one body is another one
    budget.release(500)
    assert budget.reserved == 0


def test_what_is_made_of_a_body_counts_too() -> None:
    budget = BodyBudget(100)
    budget.reserve(10)
    budget.reserve(500, held=10)  # alone, anything goes
    budget.release(510)
    budget.reserve(10)
    budget.reserve(20)
    budget.reserve(70, held=10)
    with pytest.raises(Overloaded):
        budget.reserve(1, held=20)
    assert budget.reserved == 100
    budget.release(80)
    budget.reserve(500, held=20)
    budget.release(520)
    assert budget.reserved == 0


def test_pictures_wait_until_there_is_memory_for_them() -> None:
    budget = PictureBudget(100 << 20)
    budget.take(60 << 20, context())
    with pytest.raises(DeadlineExceeded, match="memory"):
        budget.take(60 << 20, context(0.01))
    entered = threading.Event()

    def second() -> None:
        budget.take(60 << 20, context())
        entered.set()

    thread = threading.Thread(target=second)
    thread.start()
    assert not entered.is_set()
    budget.give_back(60 << 20)
    thread.join(30)
    assert entered.is_set()
    assert budget.taken == 60 << 20


def test_a_picture_that_never_fits_is_refused_and_a_small_one_never_waits() -> None:
    budget = PictureBudget(100 << 20)
    with pytest.raises(ImageTooLarge, match="--max-decoded-bytes"):
        budget.take(101 << 20, context())
    budget.take(100 << 20, context())
    budget.take(PictureBudget.SMALL, context(0.01))
    budget.give_back(PictureBudget.SMALL)
    budget.give_back(100 << 20)
    assert budget.taken == 0


def test_what_a_picture_leaves_is_told_unless_it_is_little() -> None:
    told: list[int] = []
    budget = PictureBudget(100 << 20, lambda: told.append(budget.taken))
    for size in (60 << 20, 5 << 20, PictureBudget.LITTLE):
        budget.take(size, context())
        budget.give_back(size)
    assert told == [0, 0]  # each after it was given back
