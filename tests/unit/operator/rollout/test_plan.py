"""What the rollout decides, scene by scene."""

from __future__ import annotations

from typing import Any

import pytest

from inference_operator.rollout.plan import HANDOVER_SECONDS, plan
from inference_operator.rollout.records import last_rolled_out, pack, previously_rolled_out
from inference_operator.rollout.settings import Rollback, RolloutSettings, Step
from inference_operator.rollout.stages import canary_replicas
from inference_operator.rollout.types import Candidate, Phase, Scale, Seen, Side
from support.rollout_simulation import World


def settled(spec: str = "g0", minimum: int = 3, maximum: int = 0) -> World:
    """A service whose first revision is rolled out."""
    world = World()
    world.scale = Scale(minimum, max(minimum, maximum), autoscaled=maximum > minimum)
    world.apply(spec)
    assert world.settle(20).phase is Phase.STABLE
    return world


def rolled_out(world: World) -> tuple[str, str]:
    """The revision that is rolled out, and the one before."""
    last = last_rolled_out(world.revisions)
    before = previously_rolled_out(world.revisions)
    return last.digest if last else "", before.digest if before else ""


def test_an_update_without_a_canary_is_one_deployment() -> None:
    world = settled()
    world.apply("g1")
    first = world.tick()
    assert (first.phase, first.stable, first.canary) == (Phase.UPDATING, "g1", "")
    assert rolled_out(world) == ("g0", "")
    assert world.settle().phase is Phase.STABLE
    assert rolled_out(world) == ("g1", "g0")
    assert [one.number for one in world.revisions] == [1, 2]


@pytest.mark.parametrize("bad", ["c1", "w1", "n1"])
def test_a_bad_update_goes_back_and_stays_refused(bad: str) -> None:
    world = settled()
    world.apply(bad, deadline_s=300)
    decided = world.settle()
    assert (decided.phase, decided.stable) == (Phase.ROLLED_BACK, "g0")
    assert decided.refusal
    cause = {"c1": "CrashLoopBackOff", "w1": "GoldenImageFailed", "n1": "ProgressDeadlineExceeded"}
    assert decided.refusal.reason == cause[bad]
    assert world.serving() == 3
    assert world.settle().refusal == decided.refusal, "the first cause and time are kept"
    assert decided.wait == 0

    world.apply("g1")
    assert world.settle().stable == "g1", "a new spec is tried"
    world.apply(bad)
    assert world.tick().phase is Phase.UPDATING, "so is a refused one that was applied again"


def test_a_refused_revision_is_tried_again_under_other_settings() -> None:
    world = settled()
    world.apply("n1", deadline_s=60)
    assert world.settle().phase is Phase.ROLLED_BACK
    world.attempt = "2"
    assert world.tick().phase is Phase.UPDATING
    world.scale = Scale(4, 4)
    assert world.settle().phase is Phase.ROLLED_BACK
    world.scale = Scale(2, 2)
    assert world.settle().phase is Phase.ROLLED_BACK, "another scale is no other attempt"


def test_nothing_is_taken_back_by_hand_only() -> None:
    world = settled()
    world.apply("c1", rollback=Rollback.MANUAL)
    decided = world.settle()
    assert (decided.phase, decided.stable) == (Phase.UPDATING, "c1")
    assert world.serving() == 3


def test_a_broken_stable_side_blocks_no_update() -> None:
    world = World()
    world.apply("c1")
    assert world.settle().stable == "c1"
    world.apply("g1", steps=(Step(10, 3600),))
    assert world.settle().phase is Phase.STABLE
    assert rolled_out(world) == ("g1", ""), "what never answered is nothing to go back to"


def test_steps_skip_ahead_when_the_stable_side_is_stuck() -> None:
    world = settled()
    world.apply("g1", steps=(Step(10, 3600),))
    world.settle(5)
    seen = world.seen()
    decided = plan(
        Candidate("g1", pack({}), "1"),
        world.revisions,
        Seen(seen.stable, seen.canary, stable_fails=True),
        world.settings,
        world.scale,
        world.now,
    )
    assert (decided.weight, decided.stable) == (100, "g1")


def test_a_canary_by_percent() -> None:
    world = settled()
    world.apply("g1", percent=25)
    decided = world.settle()
    assert (decided.phase, decided.stable, decided.canary) == (Phase.CANARY, "g0", "g1")
    assert (decided.canary_replicas, decided.weight, decided.shared) == (1, 25, True)
    assert world.serving() == 4, "the stable side keeps its scale"
    world.apply("g1", percent=50)
    assert world.settle().canary_replicas == 3
    world.apply("g1", percent=0)
    decided = world.settle()
    assert (decided.canary, decided.shared, decided.weight) == ("g1", False, 0)
    world.settings = RolloutSettings()
    promoting = world.tick()
    assert (promoting.phase, promoting.stable, promoting.canary) == (Phase.PROMOTING, "g1", "g1")
    assert world.settle().phase is Phase.STABLE
    assert world.canary is None
    assert rolled_out(world) == ("g1", "g0")


def test_a_first_revision_takes_everything() -> None:
    world = World()
    world.apply("g0", percent=10)
    assert world.settle().phase is Phase.STABLE


def test_a_promotion_after_a_long_canary_is_not_late() -> None:
    world = settled()
    world.apply("g1", percent=50, deadline_s=60)
    world.settle(10, 1)
    world.settle(50, 60)
    world.apply("g1", percent=None)
    for _ in range(30):
        assert world.tick(10).phase in {Phase.PROMOTING, Phase.STABLE}
    assert rolled_out(world)[0] == "g1"


def test_a_canary_that_grows_with_the_stable_side_is_not_late() -> None:
    world = settled(minimum=2, maximum=10)
    world.apply("g1", percent=50, deadline_s=60)
    world.settle(10, 1)
    world.settle(50, 60)
    assert world.stable
    world.stable.desired = 8
    for _ in range(10):
        assert world.tick(50).phase is Phase.CANARY


def test_a_download_is_not_late() -> None:
    world = settled()
    world.apply("n1", deadline_s=60)
    for _ in range(10):
        world.tick(20)
    busy = Seen(world.seen().stable, busy_at=world.now)
    world.revisions = tuple(
        one.changed(refusal=None) if one.digest == "n1" else one for one in world.revisions
    )
    side = Side("n1", 3, progressed_at=0)
    decided = plan(
        Candidate("n1", pack({}), "1"),
        world.revisions,
        Seen(side, busy_at=busy.busy_at),
        world.settings,
        world.scale,
        world.now + 59,
    )
    assert (decided.phase, decided.wait) == (Phase.UPDATING, 1)


def test_steps_go_on_by_themselves() -> None:
    world = settled()
    world.apply("g1", steps=(Step(10, 60), Step(50, 120)))
    weights = []
    for _ in range(80):
        decided = world.tick(5)
        if decided.weight not in weights:
            weights.append(decided.weight)
    assert weights == [10, 50, 100]
    assert rolled_out(world) == ("g1", "g0")
    assert world.canary is None


def test_a_step_waits_while_paused_and_while_a_pod_fails() -> None:
    world = settled()
    world.apply("g1", steps=(Step(10, 60),))
    world.settle(5, 1)
    world.apply("g1", paused=True)
    assert world.settle(50, 60).weight == 10
    world.apply("g1", paused=False)
    assert world.tick(1).weight == 10
    assert world.settle(50, 60).phase is Phase.STABLE


def test_a_paused_update_stops_replacing_pods() -> None:
    world = settled()
    world.apply("g1", paused=True, deadline_s=60)
    decided = world.settle()
    assert (decided.paused, decided.phase) == (True, Phase.UPDATING)
    assert world.stable
    assert {pod.revision for pod in world.stable.pods} == {"g0"}
    world.apply("g1", paused=False)
    assert world.settle().phase is Phase.STABLE


def test_promote_and_abort_name_their_revision() -> None:
    world = settled()
    world.apply("g1", percent=10)
    world.settle(10)
    world.apply("g1", abort="shapes-predictor-g9")
    assert world.settle(10).phase is Phase.CANARY
    world.apply("g1", abort="shapes-predictor-g1")
    decided = world.settle(10)
    assert (decided.phase, decided.stable) == (Phase.ROLLED_BACK, "g0")
    assert decided.refusal
    assert decided.refusal.reason == "Aborted"
    world.apply("g1", abort="")
    assert world.settle(10).phase is Phase.CANARY, "without the annotation it is tried again"
    world.apply("g1", promote="g1")
    assert world.settle().phase is Phase.STABLE


@pytest.mark.parametrize("how", [{"steps": (Step(10, 600),)}, {"percent": 20}])
def test_a_pinned_revision_takes_over_at_once(how: dict[str, Any]) -> None:
    """Steps and a canary are for a new revision, not for the way back to a good one."""
    world = settled()
    world.apply("g1")
    assert world.settle().phase is Phase.STABLE
    world.apply("g0", **how)
    assert world.settle(10).phase is Phase.CANARY, "without a pin it is tried like any other"
    world.apply("g0", pinned="shapes-predictor-g0", **how)
    decided = world.settle(10)
    assert (decided.phase, decided.stable) == (Phase.STABLE, "g0")
    assert world.canary is None


def test_undo_in_the_middle() -> None:
    world = settled()
    world.apply("g1", percent=50)
    world.settle(10)
    world.apply("g0")
    decided = world.settle(10)
    assert (decided.phase, decided.stable, decided.newest) == (Phase.STABLE, "g0", "g0")
    assert world.canary is None
    assert world.serving() == 3


def test_another_revision_takes_the_place_of_a_canary() -> None:
    world = settled()
    world.apply("g1", percent=50)
    world.settle(10)
    world.apply("g2")
    decided = world.settle(10)
    assert (decided.stable, decided.canary) == ("g0", "g2")
    assert [one.digest for one in world.revisions] == ["g0", "g1", "g2"]


def test_under_an_autoscaler_the_stable_side_keeps_its_scale() -> None:
    world = settled(minimum=1, maximum=10)
    assert world.stable
    world.stable.desired = 4
    world.settle(10)
    world.apply("g1", percent=50)
    assert world.tick().minimum == 4
    world.settle(20)
    assert world.tick().minimum == 4
    assert world.tick().canary_replicas == 4


def test_the_stable_side_is_raised_before_a_heavy_canary_leaves() -> None:
    world = settled(minimum=1, maximum=10)
    assert world.stable
    world.stable.desired = 4
    world.settle(10)
    world.apply("g1", percent=50)
    world.settle(20)
    world.apply("g1", abort="g1")
    decided = world.tick()
    assert (decided.phase, decided.canary, decided.minimum) == (Phase.ROLLED_BACK, "g1", 8)
    assert decided.shared
    served = []
    for _ in range(20):
        world.tick()
        served.append(world.serving())
    assert min(served) == 8
    assert world.canary is None
    assert world.tick().minimum == 1


def test_a_handover_ends_although_the_stable_side_cannot_grow() -> None:
    world = settled(minimum=1, maximum=10)
    assert world.stable
    world.stable.desired = 4
    world.settle(10)
    world.apply("g1", percent=50)
    world.settle(20)
    world.apply("g1", abort="g1")
    seen = world.seen()
    ended = 0
    for _ in range(HANDOVER_SECONDS + 2):
        world.now += 1
        decided = plan(
            Candidate("g1", pack({}), "1"), world.revisions, seen, world.settings, world.scale,
            world.now,
        )  # fmt: skip
        world.revisions = decided.revisions
        ended += not decided.canary
    assert ended == 2


def test_a_stopped_service_tries_nothing() -> None:
    world = settled()
    world.scale = Scale(0, 0)
    world.apply("g1", percent=10, deadline_s=10)
    decided = world.settle()
    assert decided.canary == ""
    assert decided.refusal is None


@pytest.mark.parametrize(
    ("stable", "percent", "most", "replicas"),
    [(1, 10, 9, 1), (9, 10, 9, 1), (3, 50, 9, 3), (10, 25, 10, 3), (3, 90, 5, 5), (3, 0, 9, 1),
     (0, 50, 3, 1), (20, 1, 20, 1), (18, 10, 20, 2), (2, 99, 1000, 198)],
)  # fmt: skip
def test_the_number_of_canary_pods(stable: int, percent: int, most: int, replicas: int) -> None:
    assert canary_replicas(stable, percent, most) == replicas


@pytest.mark.parametrize("limit", [0, 2])
def test_the_history_is_bounded(limit: int) -> None:
    world = settled()
    for number in range(1, 8):
        world.apply(f"g{number}", history_limit=limit)
        world.settle(20)
    kept = [one.digest for one in world.revisions]
    assert kept == [f"g{number}" for number in range(6 - limit, 8)]
