"""/strata/v1/cluster: which cluster this is, and whether its store is in doubt."""

from starlette.requests import Request
from starlette.responses import Response

from strata.resources import codec
from strata.resources.cluster import ClusterIdentity
from strata.resources.kinds import CLUSTER_KEY
from strata.server.answers import json_answer
from strata.server.context import Context
from strata.server.failures import Target, not_found


class Cluster:
    """The handler of the cluster's identity."""

    def __init__(self, context: Context) -> None:
        self._store = context.store

    async def read(self, _request: Request) -> Response:
        kv = await self._store.get(CLUSTER_KEY)
        if kv is None:
            raise not_found(Target(plural="clusters", name="cluster"))
        identity = codec.decode(ClusterIdentity, kv.value)
        return json_answer({"apiVersion": "strata/v1", "kind": "Cluster", **codec.to_plain(identity)})
