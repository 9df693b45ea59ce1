"""Makes the children of one InferenceService what they should be, with as few calls as possible.

A child that was seen as it should be costs nothing. A child that is missing is created without
force, so that an object of somebody else with the same name is noticed and never taken over; our
own are put right with force. Decides nothing about what a child should look like.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from inference_operator import names
from inference_operator.api.types import InferenceService
from inference_operator.cache.child import Child
from inference_operator.cache.drift import digest, matches, project
from inference_operator.cache.store import Store
from inference_operator.desired.state import Desired
from inference_operator.errors import ApiError, ChildConflictError, ChildRejectedError
from inference_operator.kinds import CHILD_KINDS
from inference_operator.kubernetes.client import ApiClient
from inference_operator.objects import Json, Key, controller_of, resource_version
from inference_operator.reconcile.replicas import Replicas

logger = logging.getLogger(__name__)

# Somebody who changes a child again and again is answered ever more slowly, so that two
# controllers that disagree do not keep the API server busy.
FIRST_REPAIR_PAUSE_SECONDS = 1.0
LONGEST_REPAIR_PAUSE_SECONDS = 60.0
QUIET_SECONDS = 300.0


@dataclass(frozen=True)
class Repair:
    """A child that somebody had changed and that was put right."""

    kind: str
    name: str
    by: str


@dataclass(frozen=True)
class Outcome:
    """What `Children.sync` did.

    `wait` is the number of seconds after which a child that keeps being changed is put right
    again, 0 when there is none.
    """

    written: bool = False
    wait: float = 0.0
    repairs: tuple[Repair, ...] = ()


class Children:
    """Applies and prunes."""

    def __init__(self, client: ApiClient, store: Store) -> None:
        self._client = client
        self._store = store
        self._replicas = Replicas(client, store)

    async def sync(self, key: Key, service: InferenceService, desired: Desired) -> Outcome:
        """Bring all children in line.

        Raises:
            ChildConflictError: an object with a child's name is not ours.
            ChildRejectedError: the API server refuses a child as it was asked for.
            ApiError: anything else that the API server answered.
        """
        by_kind = {child["kind"]: child for child in desired.children}
        # First away with what is in the way: an autoscaler that should be gone would fight.
        pruned = await self._prune(key, service, by_kind)
        changed = self.out_of_sync(key, service, desired)
        now = time.monotonic()
        pauses = [self._pause(key, manifest, now) for manifest in changed]
        due = [manifest for manifest, pause in zip(changed, pauses, strict=True) if pause <= 0]
        results = await asyncio.gather(
            *(self._apply(key, service, manifest) for manifest in due), return_exceptions=True
        )
        errors = [result for result in results if isinstance(result, BaseException)]
        if errors:
            raise errors[0]
        repairs = tuple(result for result in results if isinstance(result, Repair))
        wait = min((pause for pause in pauses if pause > 0), default=0.0)
        raised = service.scaling.autoscaled and await self._replicas.raise_to(
            key, service.scaling.min_replicas
        )
        return Outcome(pruned or bool(due) or raised, wait, repairs)

    def _pause(self, key: Key, manifest: Json, now: float) -> float:
        """Seconds until a child may be put right; not above 0 when it may be at once."""
        child = self._known(key, manifest["kind"])
        if child is None or child.repairs == 0 or child.in_sync_with != digest(manifest):
            return 0.0
        since = now - child.repaired_at
        if since > QUIET_SECONDS:
            child.repairs = 0
            return 0.0
        pause = FIRST_REPAIR_PAUSE_SECONDS * 2.0 ** min(child.repairs - 1, 10)
        return min(pause, LONGEST_REPAIR_PAUSE_SECONDS) - since

    def out_of_sync(self, key: Key, service: InferenceService, desired: Desired) -> list[Json]:
        """Children that are missing or not as they should be."""
        return [child for child in desired.children if not self._in_sync(key, service, child)]

    async def _prune(
        self, key: Key, service: InferenceService, desired: Mapping[str, Json]
    ) -> bool:
        """Delete our children that are no longer needed."""
        entry = self._store.entry(key)
        known = entry.children if entry else {}
        surplus = [
            (kind, known[kind].uid)
            for kind in CHILD_KINDS
            if kind in known and kind not in desired and known[kind].owner_uid == service.uid
        ]
        for kind, uid in surplus:
            namespace, name = key[0], names.predictor(key[1])
            await self._client.delete(kind, namespace, name, uid)
            self._store.drop_child(key, kind, uid)
            logger.info("%s/%s: deleted %s %s, no longer needed", *key, kind, name)
        return bool(surplus)

    def _known(self, key: Key, kind: str) -> Child | None:
        entry = self._store.entry(key)
        return entry.children.get(kind) if entry else None

    def _in_sync(self, key: Key, service: InferenceService, manifest: Json) -> bool:
        """Whether the child was last seen exactly as `manifest` wants it."""
        child = self._known(key, manifest["kind"])
        if child is None or child.owner_uid != service.uid:
            return False
        mark = digest(manifest)
        if child.body is None:
            return child.in_sync_with == mark
        applied = (child.body["metadata"].get("annotations") or {}).get(names.ANNOTATION_APPLIED)
        same = applied == mark.hex() and (
            matches(manifest, child.body)
            or (bool(child.accepted) and child.accepted == digest(project(manifest, child.body)))
        )
        if same:
            child.mark_in_sync(mark)
        return same

    async def _apply(self, key: Key, service: InferenceService, manifest: Json) -> Repair | None:
        """Create, change or put right one child."""
        kind = manifest["kind"]
        child = self._known(key, kind)
        if child is not None and child.owner_uid != service.uid:
            raise await self._conflict(key, service, kind)
        mark = digest(manifest)
        marked = _marked(manifest, mark)
        if kind == "Deployment" and "replicas" not in manifest["spec"]:
            await self._replicas.release(key)
        try:
            answer = await self._send(key, service, marked, known=child is not None)
        except ApiError as error:
            raise _explained(error, manifest) from error
        repair = None
        if child is None:
            logger.info("%s/%s: created %s", *key, kind)
        elif child.in_sync_with == mark:
            child.repairs, child.repaired_at = child.repairs + 1, time.monotonic()
            repair = Repair(kind, manifest["metadata"]["name"], child.changed_by)
            logger.info("%s/%s: %s was changed by %s and put right", *key, kind, repair.by)
        self._remember(key, manifest, mark, answer)
        return repair

    async def _send(
        self, key: Key, service: InferenceService, manifest: Json, *, known: bool
    ) -> dict[str, Any]:
        try:
            return await self._client.apply(manifest, names.FIELD_MANAGER, force=known)
        except ApiError as error:
            if known or error.status != 409:
                raise
        # Not known here, yet there and set differently: ours with a lost label, or another's.
        conflict = await self._conflict(key, service, manifest["kind"])
        if not isinstance(conflict, _OursError):
            raise conflict
        return await self._client.apply(manifest, names.FIELD_MANAGER, force=True)

    async def _conflict(self, key: Key, service: InferenceService, kind: str) -> Exception:
        """Whose is the object with the child's name?"""
        namespace, name = key[0], names.predictor(key[1])
        found = await self._client.get(kind, namespace, name)
        owner = controller_of(found["metadata"]) if found else {}
        if owner.get("uid") == service.uid:
            return _OursError()
        if found is None or (owner.get("kind") == names.KIND and owner.get("name") == service.name):
            # Left over from a deleted InferenceService of this name; the garbage collector comes.
            return ApiError(409, f"{kind} {name} of an earlier resource is still being deleted")
        whose = f"{owner['kind']} {owner['name']}" if owner else "nobody"
        return ChildConflictError(
            f"a {kind} called {name} exists already and belongs to {whose}: delete it, or give "
            "the InferenceService another name"
        )

    def _remember(self, key: Key, manifest: Json, mark: bytes, answer: dict[str, Any]) -> None:
        """Take the API server's answer as the child that is in sync."""
        kind = manifest["kind"]
        self._store.put_child(key, kind, answer)
        child = self._known(key, kind)
        if child is None:
            return
        child.accepted = b""
        if not matches(manifest, answer):
            child.accepted = digest(project(manifest, answer))
        if child.version == resource_version(answer["metadata"]):
            child.mark_in_sync(mark)
        else:
            # A later change was seen before this answer came: it is still to be judged.
            child.in_sync_with = mark


class _OursError(Exception):
    """The object turned out to be our own."""


def _marked(manifest: Json, mark: bytes) -> dict[str, Any]:
    """The manifest with the digest of itself, by which a restarted operator knows it again."""
    metadata = dict(manifest["metadata"])
    metadata["annotations"] = {
        **metadata.get("annotations", {}),
        names.ANNOTATION_APPLIED: mark.hex(),
    }
    return {**manifest, "metadata": metadata}


def _explained(error: ApiError, manifest: Json) -> Exception:
    """An answer that the user can do something about, as a reason for the status."""
    what = f"{manifest['kind']} {manifest['metadata']['name']}"
    if error.status in {400, 422}:
        return ChildRejectedError(
            "InvalidSpec", f"the {what} is refused: {error.message}", may_pass=False
        )
    if error.status == 403 and "being terminated" not in error.message:
        quota = "exceeded quota" in error.message or "failed quota" in error.message
        reason = "QuotaExceeded" if quota else "Forbidden"
        message = f"the {what} is refused: {error.message}"
        return ChildRejectedError(reason, message, may_pass=True)
    return error
