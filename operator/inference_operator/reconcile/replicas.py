"""Hands the number of replicas over from the operator to an autoscaler; only one owns it at a time.

When the only owner of a field stops applying it, Kubernetes resets the field to its default. If the
operator simply omitted `replicas`, a running service would drop to one pod until the autoscaler
raised it again. So a second field manager holds the number until the autoscaler or a user sets
another one. They then become its only owner, because nothing here applies with force. Whether a
service is autoscaled is decided elsewhere.
"""

from __future__ import annotations

from inference_operator import names
from inference_operator.cache.child import Child, ReplicasOwner
from inference_operator.cache.store import Store
from inference_operator.errors import ApiError, ApiFailure
from inference_operator.kinds import KINDS
from inference_operator.kubernetes.client import ApiClient
from inference_operator.objects import Key

DEPLOYMENT = "Deployment"


class Replicas:
    """Hands the number of replicas over to an autoscaler."""

    def __init__(self, client: ApiClient, store: Store) -> None:
        self._client = client
        self._store = store

    async def release(self, key: Key, name: str) -> None:
        """Keep the current number when we stop applying it; no-op if we do not own it.

        Raises:
            ApiError: A request to the API server failed.
        """
        if self._owner(key, name) is not ReplicasOwner.OPERATOR:
            return
        held = await self._hold(key, name, self._current(key, name))
        if not held and self._owner(key, name) is ReplicasOwner.OPERATOR:
            raise ApiError(409, f"{DEPLOYMENT} {name}: replicas are contested")

    async def raise_to(self, key: Key, name: str, minimum: int) -> bool:
        """Start with `minimum` replicas immediately; returns whether that was written.

        Applies only while the number has no owner: a new Deployment has the default of one replica,
        a stopped one has none, and an autoscaler never scales up from zero.

        Raises:
            ApiError: A request to the API server failed.
        """
        unclaimed = {ReplicasOwner.NOBODY, ReplicasOwner.HANDOVER}
        if self._owner(key, name) not in unclaimed or self._current(key, name) >= minimum:
            return False
        return await self._hold(key, name, minimum)

    async def _hold(self, key: Key, name: str, replicas: int) -> bool:
        """Claim the number for the second manager; False if another manager set a different one."""
        namespace, child = key[0], self._child(key, name)
        claim = {
            "apiVersion": KINDS[DEPLOYMENT].api_version,
            "kind": DEPLOYMENT,
            # The UID makes a just-deleted Deployment a conflict instead of recreating it.
            "metadata": {"namespace": namespace, "name": name, "uid": child.uid if child else ""},
            "spec": {"replicas": replicas},
        }
        try:
            latest = await self._client.apply(claim, names.HANDOVER_MANAGER, force=False)
        except ApiError as error:
            if error.failure is not ApiFailure.CONFLICT:
                raise
            current = await self._client.get(DEPLOYMENT, namespace, name)
            if current is not None:
                self._store.put(key, DEPLOYMENT, current)
            return False
        self._store.put(key, DEPLOYMENT, latest)
        return True

    def _owner(self, key: Key, name: str) -> ReplicasOwner | None:
        child = self._child(key, name)
        return child.replicas_owner if child else None

    def _current(self, key: Key, name: str) -> int:
        child = self._child(key, name)
        return child.deployment.desired if child and child.deployment else 1

    def _child(self, key: Key, name: str) -> Child | None:
        return self._store.child(key, (DEPLOYMENT, name))
