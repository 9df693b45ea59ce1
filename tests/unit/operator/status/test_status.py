"""The status tells the truth, stays still while nothing changes, and is patched sparingly."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference_operator.api.spec import parse
from inference_operator.cache.observed import DeploymentState, Observed, PodState, Problem
from inference_operator.config import Config
from inference_operator.desired.revision import RecordedRevision
from inference_operator.desired.state import build_desired
from inference_operator.errors import ChildRejectedError, SpecError, StatusError, StuckError
from inference_operator.reconcile.progress import build_state
from inference_operator.status.assessment import StatusInputs
from inference_operator.status.patch import merge_patch
from inference_operator.status.summary import summarize
from inference_operator.status.transition import transition

NOW, LATER = "2026-01-01T00:00:00Z", "2026-01-01T00:01:00Z"
PROBLEM = Problem("DownloadFailed", "https://x/y is not there", 1)


def body(generation: int = 1, status: Any = None, **predictor: Any) -> dict[str, Any]:
    metadata = {"name": "shapes", "namespace": "vision", "uid": "u", "generation": generation}
    return {"metadata": metadata, "spec": {"predictor": predictor}, "status": status or {}}


def revision_of(resource: dict[str, Any]) -> str:
    return build_desired(parse(resource), Config()).revision.rpartition("-")[2]


def look(
    resource: dict[str, Any],
    *pods: PodState,
    desired: int = 1,
    complete: bool | None = None,
    now: str = NOW,
    problem: Problem | None = None,
    error: StatusError | None = None,
    endpoints: frozenset[str] | None = None,
) -> dict[str, Any]:
    ready = sum(pod.ready for pod in pods)
    done = ready == desired == len(pods) if complete is None else complete
    if endpoints is None:
        endpoints = frozenset(pod.name for pod in pods if pod.ready)
    deployment = DeploymentState(
        generation=1,
        observed_generation=1,
        replicas=len(pods),
        desired=desired,
        updated=len(pods) if done else 0,
        available=ready,
        problem=problem,
    )
    service = parse(resource) if error is None else None
    if service is not None:
        deployment = replace(deployment, revision=revision_of(resource))
    observed = Observed(
        {"shapes-predictor": deployment},
        pods,
        {},
        {"shapes-predictor": endpoints},
        resource.get("recorded", ()),
    )
    state = build_state(service, Config(), RecordedRevision(), observed, 1) if service else None
    if state is not None:
        # What the API server would keep.
        resource["recorded"] = state.plan.revisions
    return summarize(
        StatusInputs(
            body=resource,
            observed=observed,
            now=now,
            service=service,
            desired=state,
            error=error,
        )
    )


def up(revision: str, name: str = "a") -> PodState:
    return PodState(
        f"pod-{name}", revision, ready=True, stage="Ready", deployment="shapes-predictor"
    )


def down(revision: str, problem: Problem | None = None, stage: str = "Starting") -> PodState:
    return PodState(
        "pod-down", revision, stage=stage, problem=problem, deployment="shapes-predictor"
    )


def condition(status: Mapping[str, Any], kind: str = "Ready") -> dict[str, Any]:
    return next(c for c in status["conditions"] if c["type"] == kind)


def settled(**predictor: Any) -> tuple[dict[str, Any], str]:
    """A resource that serves its first revision, and that revision."""
    resource = body(**predictor)
    revision = revision_of(resource)
    resource["status"] = look(resource, up(revision))
    return resource, revision


def test_a_service_that_serves() -> None:
    resource, revision = settled()
    status, name = resource["status"], f"shapes-predictor-{revision}"
    ready = condition(status)
    assert ready["status"] == "True"
    assert "reason" not in ready
    assert ready["observedGeneration"] == 1
    assert status["url"] == "http://shapes-predictor.vision.svc.cluster.local"
    assert status["address"]["url"] == status["url"]
    predictor = status["components"]["predictor"]
    assert predictor["latestCreatedRevision"] == name
    assert predictor["latestReadyRevision"] == name
    assert predictor["latestRolledoutRevision"] == name
    assert "previousRolledoutRevision" not in predictor
    assert predictor["traffic"] == [{"revisionName": name, "percent": 100, "latestRevision": True}]
    assert status["modelStatus"]["transitionStatus"] == "UpToDate"
    assert status["modelStatus"]["states"]["activeModelState"] == "Loaded"
    assert "lastFailureInfo" not in status["modelStatus"]
    assert status["replicas"] == 1
    assert "inference-operator.dev/inferenceservice=shapes" in status["selector"]


@pytest.mark.parametrize("stage", ["Pending", "Downloading", "Starting"])
def test_a_service_on_its_way(stage: str) -> None:
    resource = body()
    status = look(resource, down(revision_of(resource), stage=stage))
    ready = condition(status)
    assert (ready["status"], ready["reason"]) == ("False", stage)
    assert condition(status, "LatestDeploymentReady")["status"] == "Unknown"
    assert "url" not in status
    assert status["modelStatus"]["transitionStatus"] == "InProgress"


def test_a_pod_that_fails_is_named() -> None:
    resource = body()
    status = look(resource, down(revision_of(resource), PROBLEM))
    ready = condition(status)
    assert (ready["status"], ready["reason"]) == ("False", "DownloadFailed")
    assert ready["message"] == "pod pod-down: https://x/y is not there"
    failure = status["modelStatus"]["lastFailureInfo"]
    assert failure["location"] == "pod-down"
    assert failure["exitCode"] == 1
    assert failure["reason"] == "DownloadFailed"
    assert failure["time"] == NOW
    assert status["modelStatus"]["transitionStatus"] == "BlockedByFailedLoad"


def test_pods_that_cannot_be_created_are_told() -> None:
    status = look(body(), problem=Problem("QuotaExceeded", "no pod can be created: quota"))
    assert condition(status)["reason"] == "QuotaExceeded"


def test_the_cause_in_a_pod_beats_the_deadline_of_the_deployment() -> None:
    resource = body()
    late = Problem("ProgressDeadlineExceeded", "late", rank=9)
    revision = revision_of(resource)
    assert condition(look(resource, down(revision, PROBLEM), problem=late))["reason"] == (
        "DownloadFailed"
    )
    assert condition(look(resource, down(revision), problem=late))["reason"] == (
        "ProgressDeadlineExceeded"
    )


def updated(**changes: Any) -> tuple[dict[str, Any], str, str]:
    """A settled resource with a changed spec: the resource, the old and the new revision."""
    resource, old = settled()
    resource["metadata"]["generation"] = 2
    resource["spec"] = {"predictor": {"timeout": 7, **changes}}
    new = revision_of(resource)
    assert old != new
    return resource, old, new


def test_the_earlier_revision_keeps_serving_while_the_newest_fails() -> None:
    resource, old, new = updated()
    status = look(resource, up(old), down(new, PROBLEM))
    ready = condition(status)
    assert (ready["status"], ready["reason"]) == ("True", "DownloadFailed")
    assert f"revision shapes-predictor-{old} keeps serving" in ready["message"]
    assert "pod-down" in ready["message"]
    assert ready["observedGeneration"] == 1, "what is served is the earlier spec"
    assert status["observedGeneration"] == 2
    latest = condition(status, "LatestDeploymentReady")
    assert (latest["status"], latest["reason"]) == ("False", "DownloadFailed")
    assert latest["observedGeneration"] == 2
    predictor = status["components"]["predictor"]
    assert predictor["latestCreatedRevision"].endswith(new)
    assert predictor["latestReadyRevision"].endswith(old)
    assert predictor["traffic"] == [
        {"revisionName": f"shapes-predictor-{old}", "percent": 100, "latestRevision": True}
    ]
    assert status["modelStatus"]["transitionStatus"] == "BlockedByFailedLoad"
    assert status["modelStatus"]["states"] == {
        "activeModelState": "Loaded",
        "targetModelState": "FailedToLoad",
    }


def test_a_rollout_from_start_to_end() -> None:
    resource, old, new = updated()
    status = look(resource, up(old), down(new))
    assert condition(status)["reason"] == "RollingOut"
    assert condition(status)["observedGeneration"] == 1
    resource["status"] = status

    status = look(resource, up(old, "a"), up(new, "b"), desired=1, complete=False)
    assert condition(status)["observedGeneration"] == 1, "both answer: not rolled out yet"
    assert [(t["percent"], t.get("tag")) for t in status["components"]["predictor"]["traffic"]] == [
        (50, None),
        (50, "prev"),
    ]
    resource["status"] = status

    status = look(resource, up(new, "b"))
    assert condition(status)["observedGeneration"] == 2
    assert "reason" not in condition(status)
    predictor = status["components"]["predictor"]
    assert predictor["latestRolledoutRevision"].endswith(new)
    assert predictor["previousRolledoutRevision"].endswith(old)


def test_an_invalid_change_leaves_the_service_as_it_is() -> None:
    resource, old = settled()
    resource["metadata"]["generation"] = 2
    error = SpecError("spec.predictor.model.storageUri", "is wrong")
    status = look(resource, up(old), error=error)
    ready = condition(status)
    assert (ready["status"], ready["reason"]) == ("True", "InvalidSpec")
    assert "spec.predictor.model.storageUri: is wrong" in ready["message"]
    assert ready["observedGeneration"] == 1
    assert status["modelStatus"]["transitionStatus"] == "InvalidSpec"
    status = look(body(), error=error)
    assert condition(status)["status"] == "False"
    assert condition(status)["reason"] == "InvalidSpec"


def test_some_of_many() -> None:
    resource = body(minReplicas=3)
    revision = revision_of(resource)
    stuck = down(revision, Problem("Unschedulable", "no cpu", rank=4))
    status = look(resource, up(revision, "a"), up(revision, "b"), stuck, desired=3)
    ready = condition(status)
    assert (ready["status"], ready["reason"]) == ("True", "Unschedulable")
    assert ready["message"].startswith("2 of 3 pods are ready; pod pod-down: no cpu")
    assert ready["observedGeneration"] == 1
    assert condition(status, "LatestDeploymentReady")["status"] == "True"


def test_a_stopped_service_says_so() -> None:
    status = look(body(minReplicas=0), desired=0)
    assert condition(status)["reason"] == "Stopped"
    assert status["modelStatus"]["states"]["activeModelState"] == "Standby"


def test_a_load_balancer_gives_the_address() -> None:
    resource = body()
    resource["spec"]["service"] = {"type": "LoadBalancer"}
    pods = (up(revision_of(resource)),)
    for outside, url in (
        ("", "http://shapes-predictor.vision.svc.cluster.local"),
        ("192.0.2.1", "http://192.0.2.1"),
        ("2001:db8::1", "http://[2001:db8::1]"),
        ("lb.example.com", "http://lb.example.com"),
    ):
        service = parse(resource)
        inputs = StatusInputs(
            body=resource,
            observed=Observed(
                {"shapes-predictor": DeploymentState()},
                pods,
                {"shapes-predictor": outside},
                {"shapes-predictor": frozenset({"pod-a"})},
            ),
            now=NOW,
            service=service,
            desired=build_desired(service, Config()),
        )
        assert summarize(inputs)["url"] == url


def types(status: Mapping[str, Any]) -> set[str]:
    return {c["type"] for c in status["conditions"] if c["status"] == "True"}


def test_ready_pods_that_the_service_does_not_lead_to_do_not_serve() -> None:
    resource = body()
    status = look(resource, up(revision_of(resource)), endpoints=frozenset())
    ready = condition(status)
    assert (ready["status"], ready["reason"]) == ("False", "NoEndpoints")
    assert "url" not in status
    assert "traffic" not in status["components"]["predictor"]


def test_how_many_pods_serve_is_said_whether_or_not_something_is_wrong() -> None:
    resource, revision = settled(minReplicas=2)
    status = look(resource, up(revision, "a"), up(revision, "b"), desired=2)
    assert condition(status)["message"] == "2 of 2 pods are ready"
    frozen = Problem("ReadinessProbeFailed", "no answer", rank=3)
    status = look(resource, up(revision, "a"), down(revision, frozen, "Unready"), desired=2)
    ready = condition(status)
    assert (ready["status"], ready["reason"]) == ("True", "ReadinessProbeFailed")
    assert ready["message"] == "1 of 2 pods are ready; pod pod-down: no answer"


def test_a_failed_restart_of_the_revision_that_serves_is_told() -> None:
    resource, revision = settled()
    status = look(
        resource,
        up(revision),
        down(revision, Problem("CreateContainerConfigError", "secret x not found", rank=2)),
        complete=False,
    )
    ready = condition(status)
    assert (ready["status"], ready["reason"]) == ("True", "CreateContainerConfigError")
    assert "secret x not found" in ready["message"]
    assert "Stalled" in types(status)


def test_a_pod_that_ended_is_not_blamed_for_another_nor_counted() -> None:
    resource, revision = settled()
    evicted = replace(down(revision, Problem("Evicted", "disk", rank=5), "Finished"), name="old")
    frozen = down(revision, Problem("ReadinessProbeFailed", "no answer", rank=3), "Unready")
    status = look(resource, evicted, frozen)
    assert condition(status)["reason"] == "ReadinessProbeFailed"
    assert status["modelStatus"]["copies"] == {"failedCopies": 1, "totalCopies": 1}
    assert "reason" not in condition(look(resource, evicted, up(revision), complete=True))


def test_a_pod_that_ended_says_why_there_is_none() -> None:
    resource, revision = settled()
    evicted = down(revision, Problem("Evicted", "disk", rank=5), "Finished")
    assert condition(look(resource, evicted))["reason"] == "Evicted"


@pytest.mark.parametrize(
    ("problem", "expected"),
    [
        (None, "Reconciling"),
        (Problem("Unschedulable", "full", rank=4), "Reconciling"),
        (Problem("ImagePullBackOff", "no such image", rank=1), "Stalled"),
        (PROBLEM, "Stalled"),
    ],
)
def test_kstatus_sees_a_rollout_behind_a_ready_service(
    problem: Problem | None, expected: str
) -> None:
    resource, old, new = updated()
    status = look(resource, up(old), down(new, problem))
    assert types(status) & {"Reconciling", "Stalled"} == {expected}
    assert types(look(resource, up(new))) & {"Reconciling", "Stalled"} == set()


def test_an_earlier_revision_is_never_waited_for_as_the_present_generation() -> None:
    """`kubectl wait` must not be met by what answered before an abort, or after a node's pause."""
    resource, old, new = updated()
    for pods in ((up(old, "a"), up(new, "b")), (down(old),)):
        resource["status"] = look(resource, *pods)
        status = look(resource, up(old), down(new, PROBLEM))
        assert condition(status)["status"] == "True"
        assert condition(status)["observedGeneration"] == 1


def test_kstatus_sees_what_the_api_server_refuses() -> None:
    resource, old = settled()
    refused = ChildRejectedError("QuotaExceeded", "quota", may_pass=True)
    for error, expected in (
        (SpecError("spec", "is wrong"), "Stalled"),
        (refused, "Stalled"),
        (StuckError("500"), "Reconciling"),
    ):
        assert expected in types(look(resource, up(old), error=error))


REVISIONS = st.sampled_from(["new", "old", "older"])
PROBLEMS = st.sampled_from([None, PROBLEM, Problem("Unschedulable", "full", rank=4)])
PODS = st.lists(
    st.builds(
        lambda name, revision, ready, problem: PodState(
            name, revision, ready=ready, stage="Ready" if ready else "Starting",
            problem=None if ready else problem,
        ),
        st.uuids().map(str), REVISIONS, st.booleans(), PROBLEMS,
    ),
    max_size=5,
)  # fmt: skip


@given(
    pods=PODS,
    desired=st.integers(0, 5),
    earlier=PODS,
    failed=st.booleans(),
    minimum=st.integers(0, 2),
    reached=st.booleans(),
)
def test_whatever_is_seen(
    pods: list[PodState],
    desired: int,
    earlier: list[PodState],
    failed: bool,
    minimum: int,
    reached: bool,
) -> None:
    """Invariants of the status over arbitrary observations, one after the other."""
    resource = body(minReplicas=minimum)
    new = revision_of(resource)

    def named(many: list[PodState]) -> list[PodState]:
        return [
            replace(pod, revision=new if pod.revision == "new" else pod.revision) for pod in many
        ]

    error = SpecError("spec", "is wrong") if failed else None
    resource["status"] = look(resource, *named(earlier), desired=desired)
    endpoints = None if reached else frozenset[str]()
    look_again = partial(look, desired=desired, error=error, endpoints=endpoints)
    status = look_again(resource, *named(pods), now=LATER)
    answers = reached and any(pod.ready for pod in pods)
    assert (condition(status)["status"] == "True") is answers
    assert ("url" in status) is answers
    if not answers:
        assert condition(status)["reason"]
        assert condition(status)["message"]
    traffic = status["components"]["predictor"].get("traffic", [])
    assert sum(entry["percent"] for entry in traffic) == (100 if answers else 0)
    assert sum(entry.get("latestRevision", False) for entry in traffic) == answers

    # A second look at the same thing, later, changes nothing at all.
    again = {**resource, "status": status}
    assert look_again(again, *named(pods), now="2027-01-01T00:00:00Z") == status
    assert transition(status, status) is None
    assert apply_merge_patch(resource["status"], merge_patch(resource["status"], status)) == status


def apply_merge_patch(target: Any, patch: Any) -> Any:
    """RFC 7396, written from its text."""
    if not isinstance(patch, dict):
        return patch
    result = copy.deepcopy(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = apply_merge_patch(result.get(key), value)
    return result


JSON = st.recursive(
    st.booleans() | st.integers(0, 2) | st.lists(st.integers(0, 2), max_size=2),
    lambda inner: st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=6,
)
OBJECTS = st.dictionaries(st.sampled_from("abc"), JSON, max_size=3)


@given(OBJECTS, OBJECTS)
def test_a_merge_patch_leads_from_one_to_the_other(before: Any, after: Any) -> None:
    patch = merge_patch(before, after)
    assert apply_merge_patch(before, patch) == after
    assert bool(patch) is (before != after)


@pytest.mark.parametrize(
    ("status", "reason", "expected"),
    [
        ("True", None, ("Normal", "Ready")),
        ("False", "DownloadFailed", ("Warning", "DownloadFailed")),
        ("True", "DownloadFailed", ("Warning", "DownloadFailed")),
        ("False", "Stopped", ("Normal", "Stopped")),
        ("False", "Starting", None),
        ("True", "RollingOut", None),
        ("False", "NoEndpoints", None),
    ],
)
def test_events_tell_what_is_worth_telling(
    status: str, reason: str | None, expected: tuple[str, str] | None
) -> None:
    now = {"type": "Ready", "status": status, "message": "m"} | (
        {"reason": reason} if reason else {}
    )
    found = transition({}, {"conditions": [now], "url": "http://x"})
    assert ((found.type, found.reason) if found else None) == expected


@pytest.mark.parametrize("reason", ["Starting", "Pending", "NoEndpoints", "Stopped"])
def test_leaving_ready_is_an_event_whatever_the_reason(reason: str) -> None:
    before = {"conditions": [{"type": "Ready", "status": "True"}]}
    after = {"conditions": [{"type": "Ready", "status": "False", "reason": reason, "message": "m"}]}
    found = transition(before, after)
    assert found is not None
    assert (found.type, found.reason) == ("Normal" if reason == "Stopped" else "Warning", reason)


def golden_failure() -> Problem:
    return Problem("GoldenImageFailed", "golden picture a.jpg: expected cat", exit_code=3)


def test_a_rollback_keeps_its_cause() -> None:
    resource, old, new = updated()
    status = look(resource, up(old), down(new, golden_failure()))
    cause = f"GoldenImageFailed: pod pod-down: {golden_failure().message}"
    for pods in ((up(old), down(new, golden_failure())), (up(old),)):
        ready, latest = condition(status), condition(status, "LatestDeploymentReady")
        assert (ready["status"], ready["reason"]) == ("True", "GoldenImageFailed")
        both = f"shapes-predictor-{old} keeps serving, shapes-predictor-{new} was rolled back"
        assert both in ready["message"]
        assert (latest["status"], latest["reason"]) == ("False", "RolledBack")
        assert latest["message"].endswith(cause)
        assert condition(status, "Stalled")["status"] == "True"
        assert ready["observedGeneration"] == 1
        predictor = status["components"]["predictor"]
        assert predictor["latestCreatedRevision"].endswith(new)
        assert predictor["latestReadyRevision"].endswith(old)
        assert predictor["latestRolledoutRevision"].endswith(old)
        assert status["modelStatus"]["transitionStatus"] == "BlockedByFailedLoad"
        resource["status"] = status
        status = look(resource, *pods)


def test_a_rollback_is_one_event() -> None:
    resource, old, new = updated()
    rolling = look(resource, up(old), down(new))
    resource["status"] = rolling
    refused = look(resource, up(old), down(new, golden_failure()))
    notice = transition(rolling, refused)
    assert notice is not None
    assert (notice.type, notice.reason) == ("Warning", "RolledBack")
    assert transition(refused, refused) is None


def test_what_was_taken_back_is_not_blamed_when_the_other_revision_fails_too() -> None:
    resource, old, new = updated()
    look(resource, up(old), down(new, golden_failure()))
    gone = replace(down(old, Problem("OOMKilled", "out of memory", 137)), name="pod-old")
    status = look(resource, gone)
    assert condition(status)["status"] == "False"
    assert condition(status)["reason"] == "OOMKilled"


def canary(*pods: PodState, percent: int, routed: tuple[PodState, ...]) -> dict[str, Any]:
    """The status of a canary, its pods all there."""
    resource, old = settled()
    resource["metadata"]["generation"] = 2
    resource["spec"] = {"predictor": {"timeout": 7, "canaryTrafficPercent": percent}}
    service = parse(resource)
    new = revision_of(resource)
    moved = tuple(replace(pod, revision={"old": old, "new": new}[pod.revision]) for pod in pods)
    endpoints = frozenset(pod.name for pod in routed)
    deployments = {
        "shapes-predictor": DeploymentState(1, 1, 1, 1, 1, 1, None, old),
        "shapes-predictor-canary": DeploymentState(1, 1, 1, 1, 1, 1, None, new),
    }
    recorded = resource["recorded"]
    for now in (1, 2):
        observed = Observed(deployments, moved, {}, {"shapes-predictor": endpoints}, recorded)
        state = build_state(service, Config(), RecordedRevision(), observed, now)
        recorded = state.plan.revisions
    return summarize(
        StatusInputs(body=resource, observed=observed, now=NOW, service=service, desired=state)
    )


STABLE_POD = PodState("s", "old", ready=True, stage="Ready", deployment="shapes-predictor")
CANARY_POD = PodState("c", "new", ready=True, stage="Ready", deployment="shapes-predictor-canary")


@pytest.mark.parametrize(
    ("percent", "routed", "shares"),
    [(50, (STABLE_POD, CANARY_POD), [50, 50]), (0, (STABLE_POD,), [0, 100])],
)
def test_a_canary_is_what_was_asked_for(
    percent: int, routed: tuple[PodState, ...], shares: list[int]
) -> None:
    status = canary(STABLE_POD, CANARY_POD, percent=percent, routed=routed)
    ready = condition(status)
    assert (ready["status"], ready["reason"], ready["observedGeneration"]) == ("True", "Canary", 2)
    assert condition(status, "LatestDeploymentReady")["status"] == "True"
    assert not [c for c in status["conditions"] if c["type"] in {"Reconciling", "Stalled"}]
    traffic = status["components"]["predictor"]["traffic"]
    assert [target["percent"] for target in traffic] == shares
    assert [target.get("tag") for target in traffic] == [None, "prev"]


def test_other_bytes_at_the_same_address_are_told() -> None:
    resource, revision = settled()
    first, other = f"sha256:{'0' * 64}", f"sha256:{'1' * 64}"
    status = look(resource, replace(up(revision), model_digest=first))
    (target,) = status["components"]["predictor"]["traffic"]
    assert target["modelDigest"] == first
    status = look(
        resource,
        replace(up(revision), model_digest=first),
        replace(up(revision, "b"), model_digest=other),
    )
    changed = condition(status, "ModelChanged")
    assert (changed["status"], changed["reason"]) == ("True", "DigestChanged")
    assert "pod-b" in changed["message"]
    assert first in changed["message"]
    assert other in changed["message"]
