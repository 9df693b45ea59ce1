"""Any sequence of edits, pod failures, restarts and time ends where the last spec leads.

The operator of the simulation keeps nothing in memory, so every step is a restart too.
"""

from __future__ import annotations

from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from inference_operator.rollout.records import last_rolled_out
from inference_operator.rollout.settings import Rollback, RolloutSettings, Step
from inference_operator.rollout.types import Phase, Scale
from support.rollout_simulation import World, is_good

REVISIONS = st.sampled_from(["g0", "g1", "g2", "c1", "n1", "w1"])
STEPS = st.lists(
    st.builds(Step, st.sampled_from([0, 5, 10, 50, 90]), st.sampled_from([0, 60])), max_size=3
).map(tuple)
SETTINGS = st.builds(
    RolloutSettings,
    percent=st.sampled_from([None, None, 0, 10, 50, 90, 100]),
    steps=STEPS,
    rollback=st.sampled_from([Rollback.AUTOMATIC, Rollback.AUTOMATIC, Rollback.MANUAL]),
    paused=st.sampled_from([False, False, True]),
    deadline_s=st.just(300),
    history_limit=st.integers(0, 3),
)
SCALES = st.builds(
    lambda least, more: Scale(least, least + more, autoscaled=more > 0),
    st.integers(1, 4),
    st.integers(0, 4),
)


class AnySequence(RuleBasedStateMachine):
    """`guaranteed` is the number of good pods that served and that nobody but us could take."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World()
        self.guaranteed = 0
        self.lost_at = 0

    @rule(revision=REVISIONS)
    def edit(self, revision: str) -> None:
        self.world.apply(revision)

    @rule(settings=SETTINGS)
    def configure(self, settings: RolloutSettings) -> None:
        self.world.settings = settings
        self.world.attempt += "+"

    @rule(scale=SCALES)
    def rescale(self, scale: Scale) -> None:
        self.world.scale = scale
        self.guaranteed = min(self.guaranteed, scale.minimum)

    @rule(load=st.integers(0, 8))
    def autoscale(self, load: int) -> None:
        scale, stable, last = self.world.scale, self.world.stable, self.world.last
        if scale.autoscaled and stable is not None and last is not None:
            stable.desired = max(last.minimum, min(load, scale.maximum))

    @rule(name=st.sampled_from(["promote", "abort", "retry"]))
    def annotate(self, name: str) -> None:
        self.world.apply(self.world.spec, **{name: self.world.spec})

    @rule()
    def unannotate(self) -> None:
        self.world.apply(self.world.spec, promote="", abort="")

    @rule(index=st.integers(0, 10))
    def lose_a_pod(self, index: int) -> None:
        sides = [side for side in (self.world.stable, self.world.canary) if side and side.pods]
        if sides:
            side = sides[index % len(sides)]
            del side.pods[index % len(side.pods)]
            self.lost_at = self.world.now
        self.guaranteed = min(self.guaranteed, self.world.stable_serving())

    @rule(seconds=st.sampled_from([0, 1, 30, 61]), ticks=st.integers(1, 6))
    def pass_time(self, seconds: int, ticks: int) -> None:
        for _ in range(ticks):
            self.world.tick(seconds)
            self.check_service()

    @invariant()
    def check_service(self) -> None:
        # A canary's pods come on top: the stable side alone serves what was asked for.
        serving = self.world.stable_serving()
        assert serving >= self.guaranteed, f"{serving} good pods serve, {self.guaranteed} did"
        self.guaranteed = min(self.world.scale.minimum, max(self.guaranteed, serving))

    @invariant()
    def check_refusals(self) -> None:
        last = self.world.last
        if last is None or last.refusal is None or not is_good(last.newest):
            return
        undisturbed = last.refusal.at - self.lost_at > 600
        assert last.refusal.reason == "Aborted" or not undisturbed, last.refusal

    @invariant()
    def check_history(self) -> None:
        if self.world.last is None:
            return
        numbers = [one.number for one in self.world.revisions]
        assert len(set(numbers)) == len(numbers)
        assert self.world.last.newest in {one.digest for one in self.world.revisions}
        assert len(numbers) <= self.world.settings.history_limit + 6

    def teardown(self) -> None:
        world = self.world
        world.settings = RolloutSettings(
            percent=world.settings.percent, deadline_s=300, rollback=world.settings.rollback
        )
        world.attempt += "end"
        decided = world.settle()
        good = last_rolled_out(world.revisions)
        weight = world.settings.percent
        tried = weight is not None and weight < 100
        again = world.reconcile()
        assert again == decided, "nothing changes any more"
        if is_good(world.spec):
            fresh = good is not None and good.digest == world.spec
            assert fresh or tried, decided
            assert world.serving() >= world.scale.minimum
            if fresh:
                assert decided.phase is Phase.STABLE
                assert world.canary is None
            else:
                assert decided.phase is Phase.CANARY
                assert decided.weight == weight
        elif good is None:
            assert decided.stable == world.spec
        elif world.settings.rollback is Rollback.AUTOMATIC:
            assert decided.phase is Phase.ROLLED_BACK
            assert decided.stable == good.digest
            assert decided.refusal is not None
            assert world.canary is None
            assert world.serving() >= world.scale.minimum


TestAnySequence = AnySequence.TestCase
TestAnySequence.settings = hypothesis_settings(
    max_examples=150, stateful_step_count=30, deadline=None
)
