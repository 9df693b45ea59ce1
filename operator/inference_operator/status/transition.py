"""Decides which status changes deserve a Kubernetes Event. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from inference_operator.objects import Json, find_condition

# Intermediate steps are shown in the status; as Events they would be noise.
_QUIET = {"", "Pending", "Starting", "Downloading", "NoEndpoints", "RollingOut"}
# States that a user asked for.
_NORMAL = {"Stopped", "Canary", "Paused"}


@dataclass(frozen=True)
class Notice:
    """Content of an Event; `type` is Normal or Warning."""

    type: str
    reason: str
    message: str


def transition(before: Json, after: Json) -> Notice | None:
    """Return the Event for the change from one status to another, None if it deserves none."""
    taken_back = find_condition(after, "LatestDeploymentReady")
    was = find_condition(before, "LatestDeploymentReady").get("reason")
    if taken_back.get("reason") == "RolledBack" != was:
        return Notice("Warning", "RolledBack", str(taken_back.get("message", "")))
    old, new = find_condition(before, "Ready"), find_condition(after, "Ready")
    if _state(old) == _state(new):
        return None
    reason = new.get("reason", "")
    lost = old.get("status") == "True" and new.get("status") == "False"
    if lost or reason not in _QUIET:
        kind = "Normal" if reason in _NORMAL else "Warning"
        return Notice(kind, reason, str(new.get("message", "")))
    if new.get("status") == "True" and not reason:
        return Notice("Normal", "Ready", f"serving at {after.get('url', '')}")
    return None


def _state(condition: Json) -> tuple[str, str]:
    return condition.get("status", ""), condition.get("reason", "")
