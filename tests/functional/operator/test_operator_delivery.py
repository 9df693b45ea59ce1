"""Revisions, canaries and rollbacks against a real API server; the tests play kubelet."""

from __future__ import annotations

import json
import signal
from typing import Any

import pytest

from support.kube import Kubectl, Manifest
from support.operator_process import (
    KIND,
    Operator,
    condition,
    make_ready,
    play_kubelet,
    pods,
    service,
)
from support.poll import eventually

PREFIX = "inference-operator.dev/"
REVISION_LABEL = f"{PREFIX}revision"
STABLE, CANARY = "shapes-predictor", "shapes-predictor-canary"


def spec(value: int, **predictor: Any) -> Manifest:
    """The resource with its `value`-th revision."""
    env = [{"name": "A", "value": str(value)}]
    return service(predictor={"minReplicas": 2, "model": {"env": env}, **predictor})


def predictor(kubectl: Kubectl) -> Manifest:
    found: Manifest = (kubectl.get(KIND, "shapes") or {}).get("status", {})
    part: Manifest = found.get("components", {}).get("predictor", {})
    return part


def template_revision(kubectl: Kubectl, name: str = STABLE) -> str:
    """Name of the revision in a Deployment's template, empty without one."""
    found = kubectl.get("deployment", name)
    if found is None or "deletionTimestamp" in found["metadata"]:
        return ""
    return f"{STABLE}-{found['spec']['template']['metadata']['labels'][REVISION_LABEL]}"


def of_revision(kubectl: Kubectl, name: str) -> list[Manifest]:
    digest = name.rpartition("-")[2]
    return [pod for pod in pods(kubectl) if pod["metadata"]["labels"][REVISION_LABEL] == digest]


def rolled_out(kubectl: Kubectl, **fields: Any) -> str:
    """Apply the first revision, let its pods be ready; returns its name."""
    kubectl.apply(spec(1, **fields))
    eventually(lambda: len(pods(kubectl)) >= 2, "two pods")
    make_ready(kubectl)
    eventually(
        lambda: predictor(kubectl).get("latestRolledoutRevision") == template_revision(kubectl),
        "the revision rolled out",
    )
    return template_revision(kubectl)


def newest(kubectl: Kubectl, before: str) -> str:
    """The revision that follows, as soon as status has it."""

    def probe() -> str:
        found = str(predictor(kubectl).get("latestCreatedRevision", ""))
        return found if found != before else ""

    return eventually(probe, "a newer revision")


def crash(kubectl: Kubectl, pod: Manifest, message: str, restarts: int = 2) -> None:
    """The status of a pod whose server has ended three times."""
    now = "2026-01-01T00:00:00Z"
    ended = {"exitCode": 3, "message": message, "startedAt": now, "finishedAt": now}
    container = {
        "name": "model-server",
        "image": "x",
        "imageID": "",
        "containerID": "containerd://1",
        "ready": False,
        "restartCount": restarts,
        "state": {"waiting": {"reason": "CrashLoopBackOff"}},
        "lastState": {"terminated": ended},
    }
    not_ready = {"type": "Ready", "status": "False", "lastTransitionTime": now}
    scheduled = {"type": "PodScheduled", "status": "True", "lastTransitionTime": now}
    play_kubelet(
        kubectl, pod, phase="Running", conditions=[scheduled, not_ready],
        containerStatuses=[container],
    )  # fmt: skip


def ready_pods(kubectl: Kubectl, name: str) -> bool:
    """Let the pods of one revision be ready."""
    found = of_revision(kubectl, name)
    for pod in found:
        conditions = pod.get("status", {}).get("conditions", [])
        if not any(c["type"] == "Ready" and c["status"] == "True" for c in conditions):
            play_kubelet(kubectl, pod)
    return bool(found)


def wait_rolled_back(kubectl: Kubectl, good: str) -> Manifest:
    eventually(
        lambda: condition(kubectl, "LatestDeploymentReady").get("reason") == "RolledBack",
        "rolled back",
    )
    eventually(lambda: template_revision(kubectl) == good, "the good revision's template")
    return condition(kubectl, "LatestDeploymentReady")


@pytest.mark.parametrize(
    ("message", "restarts", "reason"),
    [
        ("GoldenImageFailed: golden picture a.jpg: expected cat, the model says dog", 0, "Golden"),
        ("InvalidModel: the file is no model", 2, "InvalidModel"),
        ("", 2, "CrashLoopBackOff"),
    ],
)
def test_a_bad_update_is_taken_back_and_stays_refused(
    message: str, restarts: int, reason: str, kubectl: Kubectl, operator: Operator
) -> None:
    good = rolled_out(kubectl)
    kubectl.apply(spec(2))
    bad = newest(kubectl, good)
    (pod, *_) = eventually(lambda: of_revision(kubectl, bad), "a pod of the bad revision")
    crash(kubectl, pod, message, restarts)
    latest = wait_rolled_back(kubectl, good)
    assert latest["status"] == "False"
    assert reason in latest["message"]
    assert bad in latest["message"]
    eventually(lambda: not of_revision(kubectl, bad), "no pod of the bad revision")
    assert len(of_revision(kubectl, good)) == 2, "the good ones never went"
    ready = condition(kubectl)
    assert ready["status"] == "True"
    assert reason in ready["reason"]
    assert f"{good} keeps serving" in ready["message"]
    assert condition(kubectl, "Stalled")["status"] == "True"
    assert predictor(kubectl)["latestReadyRevision"] == good
    events = kubectl.run("get", "events", "--field-selector=reason=RolledBack", "-o", "json")
    assert len(json.loads(events)["items"]) == 1

    kubectl.patch(KIND, "shapes", {"spec": {"predictor": {"minReplicas": 3}}})
    eventually(lambda: len(of_revision(kubectl, good)) == 3, "three good pods")
    assert template_revision(kubectl) == good, "scaling tries nothing again"

    kubectl.apply(spec(3))
    third = newest(kubectl, bad)
    eventually(lambda: ready_pods(kubectl, third) and template_revision(kubectl) == third, "third")
    make_ready(kubectl)
    eventually(
        lambda: (
            predictor(kubectl).get("latestRolledoutRevision") == third
            and predictor(kubectl).get("previousRolledoutRevision") == good
        ),
        "the new spec rolled out",
    )


def test_a_refusal_survives_the_operator(kubectl: Kubectl, start_operator: Any) -> None:
    first = start_operator(NAMESPACES=kubectl.namespace)
    good = rolled_out(kubectl)
    kubectl.apply(spec(2))
    bad = newest(kubectl, good)
    (pod, *_) = eventually(lambda: of_revision(kubectl, bad), "a pod of the bad revision")
    crash(kubectl, pod, "InvalidModel: the file is no model")
    latest = wait_rolled_back(kubectl, good)
    first.stop(signal.SIGKILL)
    # Even without the status: the records of the revisions are enough.
    kubectl.run(
        "patch", KIND, "shapes", "--subresource=status", "--type=merge", "-p", '{"status": null}'
    )
    start_operator(NAMESPACES=kubectl.namespace)
    again = wait_rolled_back(kubectl, good)
    assert again["message"] == latest["message"]
    assert not of_revision(kubectl, bad)
    kubectl.run("annotate", KIND, "shapes", f"{PREFIX}retry=once")
    eventually(lambda: of_revision(kubectl, bad), "tried again on request")


def test_manual_rollback_leaves_the_update_where_it_is(
    kubectl: Kubectl, operator: Operator
) -> None:
    good = rolled_out(kubectl, rollout={"rollback": "Manual"})
    kubectl.apply(spec(2, rollout={"rollback": "Manual"}))
    bad = newest(kubectl, good)
    (pod, *_) = eventually(lambda: of_revision(kubectl, bad), "a pod of the bad revision")
    crash(kubectl, pod, "InvalidModel: the file is no model")
    eventually(lambda: condition(kubectl)["reason"] == "InvalidModel", "the cause")
    assert template_revision(kubectl) == bad
    kubectl.apply(spec(2, rollout={"rollback": "Manual", "pinnedRevision": good}))
    eventually(lambda: template_revision(kubectl) == good, "undone by hand")
    make_ready(kubectl)


def test_an_update_that_misses_its_deadline_is_taken_back(
    kubectl: Kubectl, operator: Operator
) -> None:
    deadline = {"rollout": {"progressDeadlineSeconds": 5}}
    good = rolled_out(kubectl, **deadline)
    kubectl.apply(spec(2, **deadline))
    latest = wait_rolled_back(kubectl, good)
    assert "not ready within 5 s" in latest["message"]


def share(kubectl: Kubectl) -> tuple[str, str]:
    (row,) = kubectl.table("inferenceservices")
    return row["PREV"], row["LATEST"]


def test_a_canary_from_nothing_to_everything(kubectl: Kubectl, operator: Operator) -> None:
    good = rolled_out(kubectl)
    kubectl.apply(spec(2, canaryTrafficPercent=0))
    new = newest(kubectl, good)
    eventually(lambda: ready_pods(kubectl, new), "a canary pod")
    eventually(lambda: share(kubectl) == ("100", "0"), "no share of the canary")
    assert (template_revision(kubectl), template_revision(kubectl, CANARY)) == (good, new)
    own = kubectl.get("service", CANARY)
    assert own
    assert own["spec"]["selector"]["app.kubernetes.io/component"] == "predictor-canary"
    selector = (kubectl.get("service", STABLE) or {})["spec"]["selector"]
    assert selector["app.kubernetes.io/component"] == "predictor"
    assert condition(kubectl)["reason"] == "Canary"

    kubectl.apply(spec(2, canaryTrafficPercent=50))

    def half() -> bool:
        ready_pods(kubectl, new)
        assert share(kubectl) == ("50", "50"), share(kubectl)
        return len(of_revision(kubectl, new)) == 2

    eventually(half, "half of the requests")
    assert len(of_revision(kubectl, good)) == 2, "the stable side keeps its scale"
    found = kubectl.get(KIND, "shapes") or {}
    eventually(
        lambda: condition(kubectl).get("observedGeneration") == found["metadata"]["generation"],
        "the canary counted as what was asked for",
    )
    assert condition(kubectl, "Reconciling") == {}

    kubectl.apply(spec(2))

    def promoted() -> bool:
        ready_pods(kubectl, new)
        assert predictor(kubectl).get("latestRolledoutRevision") == new, predictor(kubectl)
        return template_revision(kubectl) == new and template_revision(kubectl, CANARY) == ""

    eventually(promoted, "promotion")
    eventually(lambda: share(kubectl) == ("", "100"), "everything")
    assert predictor(kubectl)["previousRolledoutRevision"] == good
    eventually(lambda: kubectl.get("service", CANARY) is None, "no Service of the canary")


def test_steps_go_on_through_restarts_of_the_operator(
    kubectl: Kubectl, start_operator: Any
) -> None:
    operator = start_operator(NAMESPACES=kubectl.namespace)
    steps = {"rollout": {"steps": [{"percent": 10, "pause": "2s"}, {"percent": 50, "pause": "2s"}]}}
    good = rolled_out(kubectl, **steps)
    kubectl.apply(spec(2, **steps))
    new = newest(kubectl, good)
    seen: list[tuple[str, str]] = []

    def step() -> bool:
        nonlocal operator
        ready_pods(kubectl, new)
        assert len(of_revision(kubectl, good)) >= (0 if template_revision(kubectl) == new else 2)
        if share(kubectl) not in seen:
            seen.append(share(kubectl))
            operator.stop(signal.SIGKILL)
            operator = start_operator(NAMESPACES=kubectl.namespace)
        return bool(predictor(kubectl).get("latestRolledoutRevision") == new)

    eventually(step, "all steps", timeout_s=120)
    assert ("50", "50") in seen
    eventually(lambda: template_revision(kubectl, CANARY) == "", "no canary")


def test_promote_abort_and_pause_by_hand(kubectl: Kubectl, operator: Operator) -> None:
    good = rolled_out(kubectl)
    kubectl.apply(spec(2, canaryTrafficPercent=50))
    new = newest(kubectl, good)
    eventually(lambda: ready_pods(kubectl, new) and share(kubectl) == ("50", "50"), "canary")
    kubectl.run("annotate", KIND, "shapes", f"{PREFIX}abort={new}")
    latest = wait_rolled_back(kubectl, good)
    assert "aborted on request" in latest["message"]
    eventually(lambda: template_revision(kubectl, CANARY) == "", "no canary")
    kubectl.run("annotate", KIND, "shapes", f"{PREFIX}abort-")
    eventually(lambda: template_revision(kubectl, CANARY) == new, "tried again")
    kubectl.patch(KIND, "shapes", {"spec": {"predictor": {"rollout": {"paused": True}}}})
    eventually(lambda: condition(kubectl)["reason"] == "Paused", "paused")
    kubectl.patch(KIND, "shapes", {"spec": {"predictor": {"rollout": None}}})
    kubectl.run("annotate", KIND, "shapes", f"{PREFIX}promote={new}")

    def promoted() -> bool:
        ready_pods(kubectl, new)
        return bool(predictor(kubectl).get("latestRolledoutRevision") == new)

    eventually(promoted, "promotion")


def test_the_history_is_bounded_and_goes_with_the_service(
    kubectl: Kubectl, operator: Operator
) -> None:
    limit = {"rollout": {"revisionHistoryLimit": 1}}
    names = [rolled_out(kubectl, **limit)]
    for value in range(2, 6):
        kubectl.apply(spec(value, **limit))
        new = newest(kubectl, names[-1])

        def done(new: str = new) -> bool:
            ready_pods(kubectl, new)
            return bool(predictor(kubectl).get("latestRolledoutRevision") == new)

        eventually(done, "the update")
        names.append(new)
    kept = {one["metadata"]["name"] for one in kubectl.objects("controllerrevisions")}
    assert kept == set(names[-3:])
    kubectl.run("delete", KIND, "shapes", "--cascade=foreground", "--timeout=30s")
    eventually(lambda: not kubectl.objects("controllerrevisions"), "no revision left")


REFUSED = [
    ({"canaryTrafficPercent": 101}, "canaryTrafficPercent"),
    ({"rollout": {"steps": [{"percent": 10}]}}, "steps[0].pause"),
    ({"rollout": {"steps": [{"percent": 10, "pause": "soon"}]}}, "pause must be a duration"),
    ({"rollout": {"rollback": "Never"}}, "rollback"),
    ({"rollout": {"pinnedRevision": "latest"}}, "pinnedRevision must be the name"),
    (
        {"canaryTrafficPercent": 5, "rollout": {"steps": [{"percent": 10, "pause": "5m"}]}},
        "remove one of them",
    ),
    ({"golden": [{"image": "a.jpg"}]}, "expect"),
    ({"golden": [{"expect": {"label": "a"}}]}, "give either image"),
    ({"golden": [{"image": "../a.jpg", "expect": {"label": "a"}}]}, "path in the model's folder"),
]


@pytest.mark.parametrize(("fields", "says"), REFUSED, ids=lambda case: str(case)[:40])
def test_wrong_fields_are_refused_at_apply(fields: Any, says: str, kubectl: Kubectl) -> None:
    with pytest.raises(AssertionError) as refused:
        kubectl.apply(service(predictor=fields))
    assert says in str(refused.value)


def test_an_unknown_revision_is_told(kubectl: Kubectl, operator: Operator) -> None:
    good = rolled_out(kubectl)
    kubectl.apply(spec(1, rollout={"pinnedRevision": "shapes-predictor-00000000"}))
    eventually(lambda: condition(kubectl).get("reason") == "InvalidSpec", "refused")
    assert good in condition(kubectl)["message"], "the revisions that there are"
    assert condition(kubectl)["status"] == "True"


def test_without_replica_fields_a_service_scales_from_one_to_three(
    kubectl: Kubectl, operator: Operator
) -> None:
    applied = service()
    kubectl.apply(applied)
    found = eventually(lambda: kubectl.get("hpa", STABLE), "an autoscaler")
    assert (found["spec"]["minReplicas"], found["spec"]["maxReplicas"]) == (1, 3)
    (metric,) = found["spec"]["metrics"]
    assert metric["resource"]["name"] == "cpu"
    stored = kubectl.get(KIND, "shapes") or {}
    assert stored.get("spec", {}) == applied["spec"], "nothing is filled in"
    assert kubectl.run("diff", "-f", "-", stdin=json.dumps(applied)) == "", "no drift"


def test_kubectl_scale_works_on_a_fixed_number(kubectl: Kubectl, operator: Operator) -> None:
    def desired() -> int:
        deployment = kubectl.get("deployment", STABLE) or {"spec": {}}
        return int(deployment["spec"].get("replicas", 0))

    kubectl.apply(service(predictor={"minReplicas": 2, "maxReplicas": 2}))
    eventually(lambda: desired() == 2, "two")
    kubectl.run("scale", KIND, "shapes", "--replicas=4")
    eventually(lambda: desired() == 4, "four")
    kubectl.run("scale", KIND, "shapes", "--replicas=5")
    eventually(lambda: desired() == 5, "five")
    assert kubectl.get("hpa", STABLE) is None
    with pytest.raises(AssertionError, match="maxReplicas is less than minReplicas"):
        kubectl.apply(service("other", predictor={"minReplicas": 5, "maxReplicas": 3}))

    kubectl.apply(service("bare"))
    kubectl.run("scale", KIND, "bare", "--replicas=2")
    bare = eventually(lambda: kubectl.get("deployment", "bare-predictor"), "a Deployment")
    eventually(lambda: kubectl.get("hpa", "bare-predictor") is None, "no autoscaler")
    assert bare["metadata"]["name"] == "bare-predictor"


def test_a_resource_that_no_operator_has_seen_is_not_done(kubectl: Kubectl) -> None:
    kubectl.apply(service())
    assert condition(kubectl)["status"] == "Unknown"
    waited = kubectl.try_run("wait", "--for=condition=Ready", f"{KIND}/shapes", "--timeout=2s")
    assert waited.returncode != 0
