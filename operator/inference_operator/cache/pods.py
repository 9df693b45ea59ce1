"""Classifies a pod: is it serving, starting, or stuck, and why?

Containers are read in the order in which they run. The message must stay the same as long as the
cause does: the kubelet alternates between `ErrImagePull` and `ImagePullBackOff`, and between
`CrashLoopBackOff` and `Running`, so each pair gives the same message, without counts or times.
Pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from inference_operator import names
from inference_operator.cache.observed import PodState, Problem, seconds_of
from inference_operator.objects import Json, find_condition

_PULL = {"ErrImagePull", "ImagePullBackOff", "RegistryUnavailable", "ImageInspectError"}
_STARTING = {"ContainerCreating", "PodInitializing", ""}
_LONGEST_MESSAGE = 400
_LONGEST_PULL_DETAIL = 240
# Format of the model server's termination message: `Reason: message`.
_TERMINATION_MESSAGE = re.compile(r"([A-Z][A-Za-z]{2,40}): (.+)", re.DOTALL)

# Digest left by a successful download.
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")

# The outcome of preemption changes with every attempt; the cause precedes it.
_PREEMPTION = re.compile(r"(,? no new claims to deallocate)?,? preemption:.*", re.DOTALL)


def classify(pod: Json, deployment: str = "") -> PodState:
    """Reduce a pod to its state.

    Args:
        pod: The pod as the API server returns it.
        deployment: Name of its Deployment.
    """
    metadata, status = pod["metadata"], pod.get("status") or {}
    revision = (metadata.get("labels") or {}).get(names.LABEL_REVISION, "")
    state = PodState(
        metadata["name"],
        revision,
        metadata.get("uid", ""),
        deployment=deployment,
        crashes=_crashes(status),
        **_download(status),
    )
    ready = find_condition(status, "Ready").get("status") == "True"
    if status.get("phase") in {"Succeeded", "Failed"}:
        return replace(state, stage="Finished", problem=_shortened(_end(status)))
    if "deletionTimestamp" in metadata:
        return replace(state, stage="Terminating")
    if ready:
        return replace(state, ready=True, stage="Ready")
    # Check this before other problems: a crash from before the pod became Ready is not the cause.
    lost = _lost_readiness(status, (pod.get("spec") or {}).get("nodeName", ""))
    if lost is not None:
        return replace(state, stage="Unready", problem=_shortened(lost))
    problem = next(_problems(status), None)
    return replace(state, stage=_stage(status), problem=problem and _shortened(problem))


def _shortened(problem: Problem) -> Problem:
    message = " ".join(problem.message.split())
    if len(message) > _LONGEST_MESSAGE:
        message = message[: _LONGEST_MESSAGE - 3] + "..."
    return replace(problem, message=message)


def _end(status: Json) -> Problem:
    """Return why a finished pod ended, such as an eviction by the kubelet."""
    reason, message = status.get("reason"), status.get("message")
    if not reason:
        disruption = find_condition(status, "DisruptionTarget")
        reason, message = disruption.get("reason"), message or disruption.get("message")
    return Problem(reason or "PodFailed", str(message or "the pod ended"), rank=5)


def _lost_readiness(status: Json, node: str) -> Problem | None:
    """Return why a pod with running containers is no longer Ready; None if it never was.

    The kubelet sets Ready together with ContainersReady, so Ready=False with ContainersReady=True
    comes from the node lifecycle controller, which sets it once a node stops reporting.
    """
    ready = find_condition(status, "Ready")
    since = str(ready.get("lastTransitionTime") or "")
    if find_condition(status, "ContainersReady").get("status") == "True":
        if ready.get("reason") == "ReadinessGatesNotReady":
            return Problem("ReadinessGatesNotReady", str(ready.get("message", "")), rank=3)
        message = f"node {node} has not reported since {since}: check the node"
        return Problem("NodeNotReady", message, rank=3)
    for container in status.get("containerStatuses") or ():
        running = (container.get("state") or {}).get("running")
        if running is None or container.get("ready") or not container.get("started"):
            continue
        # A container that was never ready has a condition older than itself.
        if since > str(running.get("startedAt") or since):
            name = container["name"]
            message = f"container {name} has not passed its readiness probe since {since}"
            return Problem("ReadinessProbeFailed", message, rank=3)
    return None


def _crashes(status: Json) -> int:
    """Count how often the model server has ended, including its current termination."""
    for container in status.get("containerStatuses") or ():
        if container.get("name") == names.CONTAINER:
            ended = "running" not in (container.get("state") or {})
            started = bool(container.get("lastState")) or bool(container.get("containerID"))
            return int(container.get("restartCount", 0)) + (ended and started)
    return 0


def _download(status: Json) -> dict[str, Any]:
    """Return when a download succeeded, and the digest of the downloaded model."""
    for container in status.get("initContainerStatuses") or ():
        ended = (container.get("state") or {}).get("terminated") or {}
        if container.get("name") == names.INIT_CONTAINER and ended.get("exitCode") == 0:
            found = _DIGEST.fullmatch(str(ended.get("message") or "").strip())
            return {
                "downloaded_at": seconds_of(ended.get("finishedAt")),
                "model_digest": found[0] if found else "",
            }
    return {}


def _stage(status: Json) -> str:
    """Return the stage of a pod without a problem."""
    if find_condition(status, "PodScheduled").get("status") != "True":
        return "Pending"
    if any("running" in (c.get("state") or {}) for c in status.get("initContainerStatuses") or ()):
        return "Downloading"
    return "Starting"


def _problems(status: Json) -> Iterator[Problem]:
    """Yield the problems of a pod that is not ready, the most informative first."""
    scheduled = find_condition(status, "PodScheduled")
    if scheduled.get("status") == "False":
        message = _PREEMPTION.sub("", str(scheduled.get("message", "")))
        yield Problem(scheduled.get("reason") or "Unschedulable", message, rank=4)
    for container in status.get("initContainerStatuses") or ():
        yield from _container_problems(container, initializer=True)
    for container in status.get("containerStatuses") or ():
        yield from _container_problems(container, initializer=False)


def _container_problems(container: Json, *, initializer: bool) -> Iterator[Problem]:
    state, last = container.get("state") or {}, container.get("lastState") or {}
    waiting = state.get("waiting") or {}
    reason = waiting.get("reason", "")
    if reason in _PULL:
        yield _pull_problem(container, waiting)
    elif reason not in _STARTING and reason != "CrashLoopBackOff":
        yield Problem(reason, waiting.get("message") or "the container cannot be created", rank=2)
    ended = state.get("terminated") or last.get("terminated")
    if ended and not (initializer and ended.get("exitCode") == 0):
        when_silent = "DownloadFailed" if initializer else "CrashLoopBackOff"
        yield _exit_problem(container["name"], ended, when_silent)


def _pull_problem(container: Json, waiting: Json) -> Problem:
    """Describe a pull failure identically for a failed attempt and the wait before the next one."""
    message = str(waiting.get("message") or "")
    detail = message.split("ErrImagePull: ", 1)[-1]
    if detail.startswith("Back-off"):
        detail = "it does not exist, or the registry is unreachable or requires credentials"
    if len(detail) > _LONGEST_PULL_DETAIL:
        # Wrapped errors have their root cause at the end.
        detail = "..." + detail[3 - _LONGEST_PULL_DETAIL :]
    return Problem("ImagePullBackOff", f"cannot pull image {container['image']}: {detail}", rank=1)


def _exit_problem(name: str, ended: Json, when_silent: str) -> Problem:
    """Return why a container ended, from its termination message if it wrote one."""
    code = ended.get("exitCode")
    if ended.get("reason") == "OOMKilled":
        hint = "raise spec.predictor.model.resources.limits.memory"
        return Problem("OOMKilled", f"container {name} ran out of memory: {hint}", code)
    words = _TERMINATION_MESSAGE.fullmatch(str(ended.get("message") or "").strip())
    if words:
        return Problem(words[1], words[2], code)
    detail = f": {ended['message'].strip()}" if ended.get("message") else ""
    signal = ended.get("signal")
    how = f"was killed by signal {signal}" if signal else f"ended with exit code {code}"
    return Problem(when_silent, f"container {name} {how}{detail}", code, rank=1)
