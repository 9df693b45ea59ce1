"""Brings the children of one InferenceService to their desired state with as few calls as possible.

A child already observed in its desired state causes no calls. A missing child is created without
force, so a foreign object with the same name is detected and never taken over; our own children are
changed with force. Children are identified by kind and name. The desired content of a child is
decided elsewhere.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

from inference_operator import names
from inference_operator.api.types import InferenceService
from inference_operator.cache.drift import digest, matches, project
from inference_operator.cache.store import Store
from inference_operator.desired.state import Desired
from inference_operator.errors import ApiError, ApiFailure
from inference_operator.kinds import CHILD_KINDS
from inference_operator.kubernetes.client import ApiClient
from inference_operator.objects import Json, Key, Manifest, ObjectRef, resource_version
from inference_operator.reconcile.rejections import conflict, explain, is_ours
from inference_operator.reconcile.replicas import Replicas

logger = logging.getLogger(__name__)

# Repairs of a child that keeps being changed become less frequent, so that two conflicting
# controllers do not keep the API server busy.
FIRST_REPAIR_PAUSE_SECONDS = 1.0
LONGEST_REPAIR_PAUSE_SECONDS = 60.0
# The pause is reset once a child has stayed unchanged for this long.
QUIET_SECONDS = 300.0


@dataclass(frozen=True)
class Repair:
    """A child that field manager `by` had changed and that was reverted."""

    kind: str
    name: str
    by: str


# The selector of a Deployment is required and differs between owners.
_ALWAYS_CONFLICTS = {"Deployment"}


@dataclass(frozen=True)
class Outcome:
    """What `Children.sync` did.

    Attributes:
        written: Whether anything was written.
        wait_s: Seconds until a child that keeps being changed may be repaired again, or 0.
        repairs: The repairs that were made.
    """

    written: bool = False
    wait_s: float = 0.0
    repairs: tuple[Repair, ...] = ()


class Children:
    """Applies and prunes children.

    Args:
        client: The API server.
        store: Observed objects.
        clock: Monotonic seconds.
    """

    def __init__(
        self, client: ApiClient, store: Store, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._client = client
        self._store = store
        self._clock = clock
        self._replicas = Replicas(client, store)

    async def sync(self, key: Key, service: InferenceService, desired: Desired) -> Outcome:
        """Create, change, repair and delete children to match the desired state.

        Raises:
            ChildConflictError: An object with a child's name is not ours.
            ChildRejectedError: The API server refuses a child.
            ApiError: Any other error of the API server.
        """
        # Delete surplus children first: a leftover autoscaler would keep scaling.
        pruned = await self._prune(key, {_ref(child) for child in desired.children})
        now = self._clock()
        changed = self.out_of_sync(key, desired)
        pauses = [self._pause(key, manifest, now) for manifest in changed]
        due = [manifest for manifest, pause in zip(changed, pauses, strict=True) if pause <= 0]
        repairs: list[Repair] = []
        # Record the state of the rollout before acting on it.
        for recording in (True, False):
            wave = [manifest for manifest in due if _is_record(manifest) is recording]
            repairs += await self._apply_all(key, service, wave)
        wait_s = min((pause for pause in pauses if pause > 0), default=0.0)
        raised = await self._raise_to_minimum(key, desired)
        return Outcome(pruned or bool(due) or raised, wait_s, tuple(repairs))

    async def _apply_all(
        self, key: Key, service: InferenceService, manifests: list[Json]
    ) -> list[Repair]:
        """Apply manifests concurrently; all are tried before the first error is raised."""
        results = await asyncio.gather(
            *(self._apply(key, service, manifest) for manifest in manifests),
            return_exceptions=True,
        )
        errors = [result for result in results if isinstance(result, BaseException)]
        if errors:
            raise errors[0]
        return [result for result in results if isinstance(result, Repair)]

    def out_of_sync(self, key: Key, desired: Desired) -> list[Json]:
        """Manifests of the children that are missing or differ."""
        return [manifest for manifest in desired.children if not self._in_sync(key, manifest)]

    def _pause(self, key: Key, manifest: Json, now: float) -> float:
        """Seconds until a child may be repaired; 0 or less if it may be repaired now."""
        child = self._store.child(key, _ref(manifest))
        if child is None or child.repairs == 0 or child.in_sync_with != digest(manifest):
            return 0.0
        since = now - child.repaired_at
        if since > QUIET_SECONDS:
            child.repairs = 0
            return 0.0
        pause = FIRST_REPAIR_PAUSE_SECONDS * 2.0 ** min(child.repairs - 1, 10)
        return min(pause, LONGEST_REPAIR_PAUSE_SECONDS) - since

    async def _prune(self, key: Key, desired: Collection[ObjectRef]) -> bool:
        """Delete our children that are no longer desired; returns whether there were any."""
        known = self._store.children(key)
        surplus = sorted(
            (ref for ref in known if ref not in desired),
            key=lambda ref: (CHILD_KINDS.index(ref[0]), ref[1]),
        )
        for ref in surplus:
            uid = known[ref].uid
            await self._client.delete(ref[0], key[0], ref[1], uid)
            self._store.drop(key, ref, uid)
            logger.info("%s/%s: deleted %s %s, no longer desired", *key, *ref)
        return bool(surplus)

    async def _raise_to_minimum(self, key: Key, desired: Desired) -> bool:
        """Start autoscaled Deployments at their minimum; returns whether any was written."""
        raised = False
        for manifest in desired.children:
            if manifest["kind"] == "HorizontalPodAutoscaler":
                spec = manifest["spec"]
                target = spec["scaleTargetRef"]["name"]
                raised |= await self._replicas.raise_to(key, target, spec["minReplicas"])
        return raised

    def _in_sync(self, key: Key, manifest: Json) -> bool:
        """Whether the child was last observed exactly as `manifest` describes it."""
        child = self._store.child(key, _ref(manifest))
        if child is None:
            return False
        expected = digest(manifest)
        if child.body is None:
            return child.in_sync_with == expected
        applied = (child.body["metadata"].get("annotations") or {}).get(names.ANNOTATION_APPLIED)
        same = applied == expected.hex() and (
            matches(manifest, child.body)
            or (bool(child.accepted) and child.accepted == digest(project(manifest, child.body)))
        )
        if same:
            child.mark_in_sync(expected)
        return same

    async def _apply(self, key: Key, service: InferenceService, manifest: Json) -> Repair | None:
        """Create, change or repair one child."""
        ref = _ref(manifest)
        if self._store.is_foreign(key, ref) and not await self._is_left_behind(key, service, ref):
            raise conflict(ref, service, None)
        child = self._store.child(key, ref)
        repairing = child is not None and child.in_sync_with == digest(manifest)
        if ref[0] == "Deployment" and "replicas" not in manifest["spec"]:
            await self._replicas.release(key, ref[1])
        try:
            answer = await self._send(key, service, manifest, known=child is not None)
        except ApiError as error:
            raise explain(error, ref) from error
        self._remember(key, manifest, answer)
        if child is None:
            logger.info("%s/%s: created %s %s", *key, *ref)
        if child is None or not repairing:
            return None
        repair = Repair(*ref, child.changed_by)
        logger.info("%s/%s: %s %s was changed by %s and restored", *key, *ref, repair.by)
        self._count_repair(key, ref)
        return repair

    def _count_repair(self, key: Key, ref: ObjectRef) -> None:
        # Look the child up again: the watch may have replaced it during the call.
        child = self._store.child(key, ref)
        if child is not None:
            child.repairs, child.repaired_at = child.repairs + 1, self._clock()

    async def _send(
        self, key: Key, service: InferenceService, manifest: Json, *, known: bool
    ) -> Manifest:
        marked, ref = _mark(manifest), _ref(manifest)
        if not known and ref[0] not in _ALWAYS_CONFLICTS:
            # Applying to an object whose fields do not conflict would silently take it over.
            known = await self._is_left_behind(key, service, ref)
        try:
            return await self._client.apply(marked, names.FIELD_MANAGER, force=known)
        except ApiError as error:
            if known or error.failure is not ApiFailure.CONFLICT:
                raise
        if not await self._is_left_behind(key, service, ref):
            raise conflict(ref, service, None)
        return await self._client.apply(marked, names.FIELD_MANAGER, force=True)

    async def _is_left_behind(self, key: Key, service: InferenceService, ref: ObjectRef) -> bool:
        """Whether an unknown object with a child's name exists and is ours.

        Raises:
            ChildConflictError: It exists and is not ours.
            ApiError: It belongs to a former InferenceService of this name.
        """
        existing = await self._client.get(ref[0], key[0], ref[1])
        if existing is not None and not is_ours(existing, service):
            raise conflict(ref, service, existing)
        return existing is not None

    def _remember(self, key: Key, manifest: Json, answer: dict[str, Any]) -> None:
        """Store the API server's answer as the child that is in sync."""
        ref = _ref(manifest)
        self._store.put(key, ref[0], answer)
        child = self._store.child(key, ref)
        if child is None:
            return
        child.accepted = b""
        if not matches(manifest, answer):
            child.accepted = digest(project(manifest, answer))
        if child.version == resource_version(answer["metadata"]):
            child.mark_in_sync(digest(manifest))
        else:
            # A later change was observed before this response and must still be compared.
            child.in_sync_with = digest(manifest)


def _ref(manifest: Json) -> ObjectRef:
    return manifest["kind"], manifest["metadata"]["name"]


def _is_record(manifest: Json) -> bool:
    return bool(manifest["kind"] == "ControllerRevision")


def _mark(manifest: Json) -> Manifest:
    """Annotate the manifest with its own digest, by which a restarted operator recognizes it."""
    metadata = dict(manifest["metadata"])
    metadata["annotations"] = {
        **metadata.get("annotations", {}),
        names.ANNOTATION_APPLIED: digest(manifest).hex(),
    }
    return {**manifest, "metadata": metadata}
