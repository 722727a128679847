"""The cluster's identity, for whoever writes an IAM policy or wonders why orphans are held."""

from email.utils import format_datetime

from tests.kit.api import Api, refused
from tests.kit.virtual_time import VirtualClock

from strata.resources import codec
from strata.resources.cluster import ClusterIdentity
from strata.resources.kinds import CLUSTER_KEY
from strata.store.port import Put

PATH = "/strata/v1/cluster"


async def test_it_is_told_with_why_orphans_are_held(api: Api) -> None:
    identity = ClusterIdentity(id="5d1f", held_because="the store is another one")
    await api.store.txn([], [Put(CLUSTER_KEY, codec.encode(identity))])
    body = await api.get(PATH)
    assert (body["id"], body["heldBecause"]) == ("5d1f", "the store is another one")


async def test_there_is_none_before_a_daemon_has_led(api: Api) -> None:
    refused(await api.client.get(PATH), 404, "NotFound")


async def test_every_answer_says_the_time_of_the_daemons_clock(api: Api) -> None:
    answer = await api.client.get(PATH)
    assert answer.headers.get_list("date") == [format_datetime(VirtualClock().now(), usegmt=True)]
