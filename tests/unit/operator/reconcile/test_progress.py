"""What the rollout is told: which failures are final, what counts as progress, which bytes ran."""

from __future__ import annotations

from dataclasses import replace

import pytest

from inference_operator.cache.observed import DeploymentState, Observed, PodState, Problem
from inference_operator.reconcile.progress import note_digests, read_seen
from inference_operator.rollout.records import Revision, pack
from inference_operator.rollout.types import Scale, Seen

STABLE, CANARY = "shapes-predictor", "shapes-predictor-canary"
NOW = 1_000_000
CRASH = Problem("InvalidModel", "no model", exit_code=3)


def pod(
    name: str = "p", revision: str = "new", deployment: str = STABLE, **state: object
) -> PodState:
    known = PodState(name, revision, deployment=deployment, stage="Starting")
    return replace(known, **state)  # type: ignore[arg-type]


RUNNING = DeploymentState(revision="new")


def seen(*pods: PodState, scale: Scale | None = None, stable: DeploymentState = RUNNING) -> Seen:
    return read_seen(Observed({STABLE: stable}, pods), "shapes", "new", scale or Scale(), NOW)


@pytest.mark.parametrize(
    ("problem", "crashes", "decisive"),
    [
        (Problem("GoldenImageFailed", "wrong", exit_code=3), 1, True),
        (CRASH, 2, False),
        (CRASH, 3, True),
        (Problem("ImagePullBackOff", "not there", rank=1), 0, False),
        (Problem("Unschedulable", "no cpu", rank=4), 0, False),
        (Problem("NodeNotReady", "a node that crashed before", rank=3), 5, False),
    ],
)
def test_which_failures_are_final(problem: Problem, crashes: int, decisive: bool) -> None:
    failure = seen(pod(problem=problem, crashes=crashes)).failure
    assert failure is not None
    assert (failure.reason, failure.decisive) == (problem.reason, decisive)
    assert failure.message == f"pod p: {problem.message}"


def test_a_final_failure_is_told_before_a_more_telling_one() -> None:
    waiting = pod("a", problem=Problem("DownloadFailed", "not there"))
    crashing = pod("b", problem=replace(CRASH, rank=1), crashes=3)
    failure = seen(waiting, crashing).failure
    assert failure is not None
    assert failure.decisive


def test_only_pods_of_the_newest_revision_that_are_not_ready_fail_it() -> None:
    assert seen(pod(revision="old", problem=CRASH, crashes=9)).failure is None
    assert seen(pod(ready=True, stage="Ready", crashes=9)).failure is None


def test_pods_that_cannot_be_created_are_a_failure_and_a_missed_deadline_is_not() -> None:
    for reason, told in (("QuotaExceeded", True), ("ProgressDeadlineExceeded", False)):
        state = DeploymentState(revision="new", problem=Problem(reason, "why"))
        assert (seen(stable=state).failure is not None) is told


def test_a_download_is_progress_while_it_runs_and_when_it_ends() -> None:
    assert seen(pod(stage="Downloading")).busy_at == NOW
    assert seen(pod(stage="Downloading", problem=CRASH)).busy_at == 0
    assert seen(pod(downloaded_at=NOW - 7)).busy_at == NOW - 7
    assert seen(pod(revision="old", stage="Downloading")).busy_at == 0


def test_a_side_is_complete_without_pods_of_another_template() -> None:
    state = DeploymentState(2, 2, 2, 2, 2, 2, None, "new", NOW - 5)
    pods = [pod(name, ready=True, stage="Ready") for name in "ab"]
    side = seen(*pods, scale=Scale(2, 2), stable=state).stable
    assert side is not None
    assert (side.revision, side.ready, side.complete, side.progressed_at) == (
        "new",
        2,
        True,
        NOW - 5,
    )
    for incomplete in (
        replace(state, observed_generation=1),
        replace(state, replicas=3),
        replace(state, available=1),
    ):
        side = seen(*pods, scale=Scale(2, 2), stable=incomplete).stable
        assert side is not None
        assert not side.complete


def test_a_stable_side_that_the_autoscaler_grows_is_complete_with_its_minimum() -> None:
    state = DeploymentState(2, 2, 4, 5, 4, 2, None, "new")
    pods = [pod(name, ready=True, stage="Ready") for name in "ab"]
    side = seen(*pods, scale=Scale(2, 9, autoscaled=True), stable=state).stable
    assert side is not None
    assert side.complete


def test_the_stable_side_fails_when_all_its_pods_are_stuck() -> None:
    stuck = pod("a", "old", problem=CRASH)
    canary = pod("c", "new", CANARY, ready=True, stage="Ready")
    assert seen(stuck, canary).stable_fails
    assert not seen(stuck, pod("b", "old", ready=True, stage="Ready"), canary).stable_fails
    assert not seen(canary).stable_fails


def test_the_first_digest_of_a_revision_is_kept() -> None:
    one, two = (Revision(digest, 1, pack({})) for digest in ("new", "old"))
    pods = [pod("a", model_digest="sha256:1"), pod("b", model_digest="sha256:2")]
    noted = note_digests([one, two], pods)
    assert [revision.model_digest for revision in noted] == ["sha256:1", ""]
    assert note_digests(noted, pods[1:]) == noted
