"""Who owns the number of replicas: the operator or an autoscaler, never both.

Kubernetes resets a field that its only owner stops applying to the default. An operator that just
left `replicas` out would thus scale a running service down to one pod until the autoscaler raised
it again. So a second field manager holds the number until the autoscaler, or a person, sets
another one; then theirs is the only claim, because nothing here forces one. Decides nothing about
when a service is autoscaled.
"""

from __future__ import annotations

from inference_operator import names
from inference_operator.cache.child import Child, ReplicasOwner
from inference_operator.cache.store import Store
from inference_operator.errors import ApiError
from inference_operator.kinds import KINDS
from inference_operator.kubernetes.client import ApiClient
from inference_operator.objects import Key

DEPLOYMENT = "Deployment"


class Replicas:
    """Hands the number of replicas over to an autoscaler."""

    def __init__(self, client: ApiClient, store: Store) -> None:
        self._client = client
        self._store = store

    async def release(self, key: Key) -> None:
        """Keep the present number while we stop applying it; no-op when it is not ours.

        Raises:
            ApiError: The API server did not do what it was asked.
        """
        if self._owner(key) is not ReplicasOwner.OPERATOR:
            return
        if not await self._hold(key, self._current(key)) and (
            self._owner(key) is ReplicasOwner.OPERATOR
        ):
            raise ApiError(409, f"{DEPLOYMENT} {names.predictor(key[1])}: replicas are contested")

    async def raise_to(self, key: Key, minimum: int) -> bool:
        """Start with `minimum` replicas at once; returns whether that was written.

        Only while nobody has claimed the number: a new Deployment has the default of one replica,
        a stopped one has none, and an autoscaler never scales up from none.

        Raises:
            ApiError: The API server did not do what it was asked.
        """
        unclaimed = {ReplicasOwner.NOBODY, ReplicasOwner.HANDOVER}
        if self._owner(key) not in unclaimed or self._current(key) >= minimum:
            return False
        return await self._hold(key, minimum)

    async def _hold(self, key: Key, replicas: int) -> bool:
        """Claim the number for the second manager; False when somebody else holds another."""
        namespace, name, child = key[0], names.predictor(key[1]), self._child(key)
        claim = {
            "apiVersion": KINDS[DEPLOYMENT].api_version,
            "kind": DEPLOYMENT,
            # With the UID, a Deployment that was just deleted is a conflict and not created anew.
            "metadata": {"namespace": namespace, "name": name, "uid": child.uid if child else ""},
            "spec": {"replicas": replicas},
        }
        try:
            latest = await self._client.apply(claim, names.HANDOVER_MANAGER, force=False)
        except ApiError as error:
            if error.status != 409:
                raise
            current = await self._client.get(DEPLOYMENT, namespace, name)
            if current is not None:
                self._store.put_child(key, DEPLOYMENT, current)
            return False
        self._store.put_child(key, DEPLOYMENT, latest)
        return True

    def _owner(self, key: Key) -> ReplicasOwner | None:
        child = self._child(key)
        return child.replicas_owner if child else None

    def _current(self, key: Key) -> int:
        deployment = self._store.observed(key).deployment
        return deployment.desired if deployment else 1

    def _child(self, key: Key) -> Child | None:
        entry = self._store.entry(key)
        return entry.children.get(DEPLOYMENT) if entry else None
