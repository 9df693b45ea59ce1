"""Who owns the number of replicas: the operator or an autoscaler, never both.

A field that its only owner stops applying is reset to its default, so an operator that just left
`replicas` out would drop a running service to one pod until the autoscaler raised it again. A
second field manager therefore holds the number until the autoscaler, or a person, sets another:
theirs is then the only claim, because nothing here forces one. Decides nothing about when a
service is autoscaled.
"""

from __future__ import annotations

from inference_operator import names
from inference_operator.cluster import Cluster
from inference_operator.errors import ApiError
from inference_operator.store import Child, Key, ReplicasOwner, Store

DEPLOYMENT = "Deployment"


class Replicas:
    """Hands the number over to an autoscaler."""

    def __init__(self, cluster: Cluster, store: Store) -> None:
        self._cluster = cluster
        self._store = store

    async def release(self, key: Key) -> None:
        """Keep the present number in place while we stop applying it; no-op when it is not ours.

        Raises:
            ApiError: the API server did not do what it was asked.
        """
        if self._owner(key) is not ReplicasOwner.OPERATOR:
            return
        if not await self._hold(key, self._present(key)) and (
            self._owner(key) is ReplicasOwner.OPERATOR
        ):
            raise ApiError(409, f"{DEPLOYMENT} {names.predictor(key[1])}: replicas are contested")

    async def raise_to(self, key: Key, least: int) -> bool:
        """Start at `least` instead of waiting for the autoscaler; says whether it was written.

        Only while nobody has claimed the number: a new Deployment has the default of one replica,
        a stopped one has none, and an autoscaler lets one without replicas rest for ever.

        Raises:
            ApiError: the API server did not do what it was asked.
        """
        unclaimed = {ReplicasOwner.NOBODY, ReplicasOwner.HANDOVER}
        if self._owner(key) not in unclaimed or self._present(key) >= least:
            return False
        return await self._hold(key, least)

    async def _hold(self, key: Key, replicas: int) -> bool:
        """Claim the number for the second manager; False when somebody else has claimed another."""
        namespace, name, child = key[0], names.predictor(key[1]), self._child(key)
        claim = {
            "apiVersion": "apps/v1",
            "kind": DEPLOYMENT,
            # With the uid, a Deployment that has just gone is a conflict, not one to be made.
            "metadata": {"namespace": namespace, "name": name, "uid": child.uid if child else ""},
            "spec": {"replicas": replicas},
        }
        try:
            found = await self._cluster.apply(claim, names.HANDOVER_MANAGER, force=False)
        except ApiError as error:
            if error.status != 409:
                raise
            held, latest = False, await self._cluster.get(DEPLOYMENT, namespace, name)
        else:
            held, latest = True, found
        if latest is not None:
            self._store.put_child(key, DEPLOYMENT, latest)
        return held

    def _owner(self, key: Key) -> ReplicasOwner | None:
        child = self._child(key)
        return child.replicas_owner if child else None

    def _present(self, key: Key) -> int:
        deployment = self._store.observed(key).deployment
        return deployment.wanted if deployment else 1

    def _child(self, key: Key) -> Child | None:
        entry = self._store.entry(key)
        return entry.children.get(DEPLOYMENT) if entry else None
