"""Kubernetes Events about an InferenceService: one when its state changes in a way worth telling.

Only changes make Events, never a repeated pass, so an idle operator writes none. A failing Event
is not worth failing a reconcile for.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from inference_operator import names
from inference_operator.cluster import Cluster
from inference_operator.errors import ApiError

Json = Mapping[str, Any]
logger = logging.getLogger(__name__)

# Steps on the way are shown in the status; as Events they would only be noise.
_QUIET = {"", "Pending", "Starting", "Downloading", "RollingOut"}
_LONGEST_NOTE = 1000


def transition(before: Json, after: Json) -> tuple[str, str, str] | None:
    """Type, reason and message of the Event for a change of status, None when there is none."""
    old, new = _ready(before), _ready(after)
    if _kind_of(old) == _kind_of(new):
        return None
    reason = new.get("reason", "")
    if reason not in _QUIET:
        kind = "Normal" if reason == "Stopped" else "Warning"
        return kind, reason, str(new.get("message", ""))
    if new.get("status") == "True" and not reason:
        return "Normal", "Ready", f"serving at {after.get('url', '')}"
    return None


def _ready(status: Json) -> Json:
    return next((c for c in status.get("conditions") or () if c.get("type") == "Ready"), {})


def _kind_of(condition: Json) -> tuple[str, str]:
    return condition.get("status", ""), condition.get("reason", "")


async def announce(cluster: Cluster, body: Json, before: Json, after: Json) -> None:
    """Post the Event for a change of status, if it is worth one."""
    found = transition(before, after)
    if found is not None:
        _, reason, message = found
        metadata = body["metadata"]
        logger.info("%s/%s: %s: %s", metadata["namespace"], metadata["name"], reason, message)
        await _post(cluster, body, found)


async def announce_repair(cluster: Cluster, body: Json, child: str, by: str) -> None:
    """Post the Event for a child that somebody had changed by hand."""
    message = f"the {child} was changed by {by} and put right: change the {names.KIND} instead"
    await _post(cluster, body, ("Normal", "Repaired", message))


async def _post(cluster: Cluster, body: Json, what: tuple[str, str, str]) -> None:
    metadata = body["metadata"]
    try:
        await cluster.create("Event", metadata["namespace"], build(body, *what))
    except ApiError as error:
        logger.warning("%s/%s: no Event: %s", metadata["namespace"], metadata["name"], error)


def build(body: Json, kind: str, reason: str, message: str) -> dict[str, Any]:
    """A core/v1 Event about the InferenceService `body`."""
    metadata = body["metadata"]
    now = datetime.now(UTC)
    seconds = now.strftime("%Y-%m-%dT%H:%M:%SZ")
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {
            "name": f"{metadata['name']}.{secrets.token_hex(8)}",
            "namespace": metadata["namespace"],
        },
        "involvedObject": {
            "apiVersion": names.API_VERSION,
            "kind": names.KIND,
            "name": metadata["name"],
            "namespace": metadata["namespace"],
            "uid": metadata["uid"],
        },
        "type": kind,
        "reason": reason,
        "message": message[:_LONGEST_NOTE],
        "source": {"component": names.MANAGED_BY},
        "reportingComponent": f"{names.GROUP}/operator",
        "reportingInstance": names.MANAGED_BY,
        "action": "Reconcile",
        "firstTimestamp": seconds,
        "lastTimestamp": seconds,
        "eventTime": now.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        "count": 1,
    }
