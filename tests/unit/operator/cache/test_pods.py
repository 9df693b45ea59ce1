"""Every way in which a pod can fail to serve is told apart, in words that do not flicker."""

from __future__ import annotations

from typing import Any

import pytest

from inference_operator.cache.observed import PodState, read_deployment
from inference_operator.cache.pods import classify

IMAGE = "registry.example.com/server:1"
SCHEDULED = {"type": "PodScheduled", "status": "True"}


def pod(*conditions: dict[str, Any], **status: Any) -> dict[str, Any]:
    return {
        "metadata": {
            "name": "shapes-predictor-1",
            "uid": "u1",
            "labels": {"inference-operator.dev/revision": "0123abcd"},
        },
        "status": {"conditions": list(conditions or [SCHEDULED]), **status},
    }


def container(state: Any = None, last: Any = None, name: str = "model-server") -> dict[str, Any]:
    return {"name": name, "image": IMAGE, "state": state or {}, "lastState": last or {}}


def waiting(reason: str, message: str = "") -> dict[str, Any]:
    return {"waiting": {"reason": reason, "message": message}}


def ended(code: int, message: str = "", reason: str = "Error", **more: Any) -> dict[str, Any]:
    return {"terminated": {"exitCode": code, "message": message, "reason": reason, **more}}


LOOPING = waiting("CrashLoopBackOff")


def problem_of(body: dict[str, Any]) -> tuple[str, str, int | None]:
    problem = classify(body).problem
    assert problem is not None
    return problem.reason, problem.message, problem.exit_code


def test_a_ready_pod_has_no_problem_whatever_happened_before() -> None:
    crashed = container({"running": {}}, ended(1, "InvalidModel: no"))
    body = pod(SCHEDULED, {"type": "Ready", "status": "True"}, containerStatuses=[crashed])
    assert classify(body) == PodState(
        "shapes-predictor-1", "0123abcd", "u1", ready=True, stage="Ready"
    )


def test_a_pod_that_goes_away_counts_for_nothing() -> None:
    body = pod(SCHEDULED, {"type": "Ready", "status": "True"})
    body["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    assert classify(body).stage == "Terminating"
    assert not classify(body).ready


@pytest.mark.parametrize(
    ("body", "stage"),
    [
        (pod({"type": "PodScheduled", "status": "Unknown"}), "Pending"),
        (pod(), "Starting"),
        (pod(containerStatuses=[container(waiting("ContainerCreating"))]), "Starting"),
        (pod(containerStatuses=[container({"running": {}})]), "Starting"),
        (pod(initContainerStatuses=[container({"running": {}})]), "Downloading"),
        (
            pod(
                initContainerStatuses=[container(ended(0, reason="Completed"), ended(1, "x"))],
                containerStatuses=[container(waiting("PodInitializing"))],
            ),
            "Starting",
        ),
    ],
)
def test_a_pod_on_its_way_has_a_stage_and_no_problem(body: dict[str, Any], stage: str) -> None:
    assert classify(body).stage == stage
    assert classify(body).problem is None


@pytest.mark.parametrize(
    ("body", "reason", "says"),
    [
        (
            pod(containerStatuses=[container(waiting("InvalidImageName", "cannot parse"))]),
            "InvalidImageName",
            "cannot parse",
        ),
        (
            pod(containerStatuses=[container(waiting("ErrImageNeverPull", "not present"))]),
            "ErrImageNeverPull",
            "not present",
        ),
        (
            pod(containerStatuses=[container(waiting("CreateContainerConfigError", "secret x"))]),
            "CreateContainerConfigError",
            "secret x",
        ),
        (
            pod(
                {
                    "type": "PodScheduled",
                    "status": "False",
                    "reason": "Unschedulable",
                    "message": "0/1 nodes are available: 1 Insufficient cpu. no new claims to "
                    "deallocate, preemption: 0/1 nodes are available: 1 Preemption is not helpful",
                }
            ),
            "Unschedulable",
            "0/1 nodes are available: 1 Insufficient cpu.",
        ),
        (
            pod(phase="Failed", reason="Evicted", message="The node was low on memory."),
            "Evicted",
            "The node was low on memory.",
        ),
        (
            pod(containerStatuses=[container(LOOPING, ended(137, "", "OOMKilled"))]),
            "OOMKilled",
            "raise spec.predictor.model.resources.limits.memory",
        ),
        (
            pod(containerStatuses=[container(waiting("CrashLoopBackOff"), ended(2))]),
            "CrashLoopBackOff",
            "exit code 2",
        ),
        (
            pod(containerStatuses=[container({"running": {}}, ended(143, signal=15))]),
            "CrashLoopBackOff",
            "killed by signal 15",
        ),
        (
            pod(initContainerStatuses=[container(ended(1), name="storage-initializer")]),
            "DownloadFailed",
            "storage-initializer ended with exit code 1",
        ),
        (
            pod(initContainerStatuses=[container(LOOPING, ended(1, "ChecksumMismatch: got 0"))]),
            "ChecksumMismatch",
            "got 0",
        ),
    ],
)  # fmt: skip
def test_causes(body: dict[str, Any], reason: str, says: str) -> None:
    found_reason, message, _ = problem_of(body)
    assert found_reason == reason
    assert says in message
    assert "preemption" not in message


def test_an_image_that_cannot_be_pulled_reads_the_same_while_waiting_and_while_trying() -> None:
    detail = 'failed to resolve reference "x": not found'
    trying = container(waiting("ErrImagePull", detail))
    backing_off = container(
        waiting("ImagePullBackOff", f'Back-off pulling image "x": ErrImagePull: {detail}')
    )
    first, second = (problem_of(pod(containerStatuses=[one])) for one in (trying, backing_off))
    assert first == second
    assert first[0] == "ImagePullBackOff"
    assert IMAGE in first[1]
    assert "not found" in first[1]


def test_a_crash_loop_reads_the_same_in_all_its_phases() -> None:
    crash = ended(3, "InvalidModel: model.tflite is no model")
    phases = [
        container(crash),
        container(waiting("CrashLoopBackOff", "back-off 40s"), crash),
        container({"running": {}}, crash),
    ]
    found = {problem_of(pod(containerStatuses=[phase])) for phase in phases}
    assert found == {("InvalidModel", "model.tflite is no model", 3)}


def test_a_long_message_is_cut() -> None:
    words = ended(1, "InvalidModel: " + "very " * 500 + "long")
    _, message, _ = problem_of(pod(containerStatuses=[container(words)]))
    assert len(message) == 400
    assert message.endswith("...")


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        ('pods "x" is forbidden: exceeded quota: small, requested: cpu=1', "QuotaExceeded"),
        ('pods "x" is forbidden: violates PodSecurity "restricted:latest"', "PodSecurityViolation"),
        (
            'error looking up service account n/m: serviceaccount "m" not found',
            "ServiceAccountNotFound",
        ),
        ("admission webhook denied", "PodCreationFailed"),
    ],
)
def test_pods_that_cannot_be_created(message: str, reason: str) -> None:
    failure = {"type": "ReplicaFailure", "status": "True", "message": message}
    state = read_deployment(
        {"metadata": {}, "spec": {"replicas": 1}, "status": {"conditions": [failure]}}
    )
    assert state.problem is not None
    assert state.problem.reason == reason
    assert message in state.problem.message


def test_a_long_pull_error_keeps_its_cause() -> None:
    detail = "failed to resolve reference " + "x" * 600 + ": unexpected status 401 Unauthorized"
    state = container(waiting("ErrImagePull", detail))
    assert problem_of(pod(containerStatuses=[state]))[1].endswith("401 Unauthorized")


STARTED, LOST = "2026-01-01T00:00:10Z", "2026-01-01T01:00:00Z"


def serving(lost: str, containers_ready: str = "False", **more: Any) -> dict[str, Any]:
    """A pod whose containers run and whose Ready condition is False since `lost`."""
    running = container({"running": {"startedAt": STARTED}}, more.pop("last", None))
    running |= {"started": True, "ready": containers_ready == "True"}
    body = pod(
        SCHEDULED,
        {"type": "ContainersReady", "status": containers_ready},
        {"type": "Ready", "status": "False", "lastTransitionTime": lost, **more},
        phase="Running",
        containerStatuses=[running],
    )
    return body | {"spec": {"nodeName": "node-7"}}


def test_a_frozen_server_is_not_one_that_starts() -> None:
    state = classify(serving(LOST))
    assert state.stage == "Unready"
    assert state.problem is not None
    assert state.problem.reason == "ReadinessProbeFailed"
    assert "model-server" in state.problem.message
    assert LOST in state.problem.message


def test_a_pod_that_was_never_ready_starts() -> None:
    state = classify(serving("2026-01-01T00:00:00Z"))
    assert (state.stage, state.problem) == ("Starting", None)


def test_a_crash_before_the_pod_was_ready_is_not_why_it_left() -> None:
    state = classify(serving(LOST, last=ended(1, "InvalidModel: no")))
    assert state.problem is not None
    assert state.problem.reason == "ReadinessProbeFailed"


def test_a_pod_on_a_lost_node_names_the_node() -> None:
    state = classify(serving(LOST, containers_ready="True"))
    assert state.stage == "Unready"
    assert state.problem is not None
    assert state.problem.reason == "NodeNotReady"
    assert "node-7" in state.problem.message


def test_a_readiness_gate_is_named() -> None:
    gate = {"reason": "ReadinessGatesNotReady", "message": 'gate "example.com/lb" is missing'}
    state = classify(serving(LOST, containers_ready="True", **gate))
    assert state.problem is not None
    assert state.problem.reason == "ReadinessGatesNotReady"
    assert "example.com/lb" in state.problem.message


@pytest.mark.parametrize("phase", ["Succeeded", "Failed"])
def test_a_pod_that_ended_is_history_and_says_why(phase: str) -> None:
    crash = container(ended(0, reason="Completed"))
    body = pod(
        phase=phase, reason="Evicted", message="Pod used too much", containerStatuses=[crash]
    )
    state = classify(body)
    assert state.stage == "Finished"
    assert state.problem is not None
    assert (state.problem.reason, state.problem.message) == ("Evicted", "Pod used too much")


def test_a_pod_that_was_disrupted_says_by_what() -> None:
    disrupted = {
        "type": "DisruptionTarget",
        "status": "True",
        "reason": "TerminationByKubelet",
        "message": "The node was low on resource: memory.",
    }
    state = classify(pod(SCHEDULED, disrupted, phase="Failed"))
    assert state.problem is not None
    assert state.problem.reason == "TerminationByKubelet"


@pytest.mark.parametrize(
    ("restarts", "state", "last", "crashes"),
    [
        (0, {"running": {}}, {}, 0),
        (0, waiting("ContainerCreating"), {}, 0),
        (1, {"running": {}}, ended(1), 1),
        (2, LOOPING, ended(1), 3),
        (0, ended(1), {}, 1),
    ],
)
def test_crashes_are_counted(restarts: int, state: Any, last: Any, crashes: int) -> None:
    server = container(state, last) | {"restartCount": restarts}
    if "terminated" in state:
        server["containerID"] = "containerd://1"
    assert classify(pod(containerStatuses=[server])).crashes == crashes


def test_a_download_that_worked_tells_when_it_ended_and_what_it_brought() -> None:
    digest = "sha256:" + "0a" * 32
    done = ended(0, f"{digest}\n", "Completed", finishedAt="2026-01-01T00:00:00Z")
    state = classify(pod(initContainerStatuses=[container(done, name="storage-initializer")]))
    assert (state.model_digest, state.downloaded_at) == (digest, 1767225600)
    for message, code in (("something else", 0), (digest, 1)):
        other = ended(code, message, finishedAt="2026-01-01T00:00:00Z")
        state = classify(pod(initContainerStatuses=[container(other, name="storage-initializer")]))
        assert state.model_digest == ""


def test_a_deployment_tells_its_revision_and_when_it_moved_on() -> None:
    progressing = {"type": "Progressing", "lastUpdateTime": "2026-01-01T00:00:00Z"}
    template = {"metadata": {"labels": {"inference-operator.dev/revision": "0123abcd"}}}
    state = read_deployment(
        {
            "metadata": {},
            "spec": {"template": template},
            "status": {"conditions": [progressing]},
        }
    )
    assert (state.revision, state.progressed_at) == ("0123abcd", 1767225600)
    assert read_deployment({"metadata": {}}).progressed_at == 0
