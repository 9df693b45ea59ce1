"""Kubernetes Events about an InferenceService.

Only changes cause Events, never a repeated pass, so an idle operator writes none. Failing to write
an Event does not fail the reconcile.
"""

from __future__ import annotations

import logging
import secrets
from datetime import UTC, datetime

from inference_operator import names
from inference_operator.errors import ApiError
from inference_operator.kubernetes.client import ApiClient
from inference_operator.objects import Json, Manifest
from inference_operator.reconcile.children import Repair
from inference_operator.status.transition import Notice, transition

logger = logging.getLogger(__name__)
_LONGEST_MESSAGE = 1000


async def record_transition(client: ApiClient, body: Json, before: Json, after: Json) -> None:
    """Post the Event for a change of status, if it deserves one."""
    notice = transition(before, after)
    if notice is not None:
        metadata = body["metadata"]
        where = (metadata["namespace"], metadata["name"])
        logger.info("%s/%s: %s: %s", *where, notice.reason, notice.message)
        await _post(client, body, notice)


async def record_repair(client: ApiClient, body: Json, repair: Repair) -> None:
    """Post the Event for a repaired child that another field manager had changed."""
    message = (
        f"the {repair.kind} was changed by {repair.by} and restored: change the {names.KIND} "
        "instead"
    )
    await _post(client, body, Notice("Normal", "Repaired", message))


async def record_contest(client: ApiClient, body: Json, times: int) -> None:
    """Log and post an Event that another writer keeps replacing the status."""
    message = (
        f"somebody else has replaced the status {times} times in a row: probably a second "
        "installation of the operator serves this resource with other settings; let one of them "
        "serve other namespaces (INFERENCE_OPERATOR_NAMESPACES) or remove it"
    )
    metadata = body["metadata"]
    logger.warning("%s/%s: %s", metadata["namespace"], metadata["name"], message)
    await _post(client, body, Notice("Warning", "StatusContested", message))


async def _post(client: ApiClient, body: Json, notice: Notice) -> None:
    metadata = body["metadata"]
    try:
        event = build_event(body, notice, datetime.now(UTC))
        await client.create("Event", metadata["namespace"], event)
    except ApiError as error:
        logger.warning("%s/%s: no Event: %s", metadata["namespace"], metadata["name"], error)


def build_event(body: Json, notice: Notice, now: datetime) -> Manifest:
    """Build a core/v1 Event about the InferenceService `body`."""
    metadata = body["metadata"]
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
        "type": notice.type,
        "reason": notice.reason,
        "message": notice.message[:_LONGEST_MESSAGE],
        "source": {"component": names.MANAGED_BY},
        "reportingComponent": f"{names.GROUP}/operator",
        "reportingInstance": names.MANAGED_BY,
        "action": "Reconcile",
        "firstTimestamp": seconds,
        "lastTimestamp": seconds,
        "eventTime": now.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        "count": 1,
    }
