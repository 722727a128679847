"""The drills of docs/day-two.md that last for hours, on virtual time, under the laws.

Those that need a real etcd are in tests/e2e/test_day_two.py; single faults of every kind in test_weak_spots.py.
"""

from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pytest
import structlog
from tests.kit.acting import Act, hush, passes, settled, until, virtually
from tests.kit.rare_stories import machines
from tests.kit.stories import LAYER, STACK, online

from strata.resources import kinds
from strata.resources.meta import find_condition
from strata.store.port import ModRevisionIs, Put
from strata_sim.controls import ids
from strata_sim.faults import Fault, FaultKind

HOUR_S = 3600.0
# What each kind must have to be one; a version before ours may have written no more.
_ALWAYS = {"apiVersion", "kind", "metadata", "spec", "status"}


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    hush()
    yield
    structlog.reset_defaults()


async def reachable(act: Act) -> tuple[str, str]:
    stack = await act.fleet.get_stack(STACK)
    assert stack is not None
    condition = find_condition(stack.status.conditions, "CloudReachable")
    return (condition.status, condition.reason) if condition else ("", "")


async def outage(act: Act, kind: FaultKind, code: str, said: str, *, duration_s: float, every_s: float) -> None:
    """EC2 does not do what is asked of it for hours; two of five machines die and two more are wanted meanwhile, in
    two zones. `every_s`: how often each of these two launches may be asked for."""
    await machines(act, 5)
    await passes(act, 60)
    kept = set(act.fleet.machines())
    act.fleet.controls.fault(Fault(kind, code=code, count=None))
    await passes(act, duration_s / 3)
    assert await reachable(act) == ("False", said)
    victims = act.fleet.machines()[:2]
    act.fleet.controls.terminate(ids(*victims))
    await passes(act, duration_s / 3)
    await act.fleet.person.layer(STACK, LAYER, 7)
    before = act.fleet.world.log.count
    await passes(act, duration_s / 3)
    asked = [call for call in act.fleet.world.log.since(before) if call.action == "RunInstances"]
    assert len(asked) <= 2 * (duration_s / 3 / every_s + 5)
    assert not act.laws.ended()

    act.fleet.controls.clear_faults()
    await until(act, lambda: online(act, 7), within_s=600)
    assert await reachable(act) == ("True", "Polled")
    assert kept - set(victims) <= set(act.fleet.machines())
    assert not act.laws.ended()
    await settled(act)


@virtually()
async def test_credentials_that_expired_for_hours_end_nothing_and_all_is_done_once_they_are_renewed(
    act: Act,
) -> None:
    await outage(act, "refuse", "ExpiredToken", "Unauthorized", duration_s=3 * HOUR_S, every_s=60)


@virtually()
async def test_an_hour_without_ec2_ends_nothing_and_all_is_done_afterwards(act: Act) -> None:
    await outage(act, "unreachable", "", "Unreachable", duration_s=HOUR_S, every_s=20)


# -- an upgrade, and a way back -------------------------------------------------------------------------------------


async def rewrite(act: Act, change: Callable[[dict[str, Any]], None]) -> int:
    """Change every stored object of ours, as another version would have written it; how many."""
    count = 0
    for kind in (kinds.STACK, kinds.LAYER, kinds.INSTANCE, kinds.LAUNCH, kinds.LAYER_REVISION):
        for kv in (await act.fleet.store.list(kind.prefix())).items:
            document = msgspec.json.decode(kv.value)
            change(document)
            put = Put(kv.key, msgspec.json.encode(document))
            assert (await act.fleet.store.txn([ModRevisionIs(kv.key, kv.mod_revision)], [put])).succeeded
            count += 1
    return count


async def stored(act: Act) -> dict[str, dict[str, Any]]:
    found = {}
    for kind in (kinds.STACK, kinds.LAYER, kinds.INSTANCE):
        for kv in (await act.fleet.store.list(kind.prefix())).items:
            found[kv.key] = msgspec.json.decode(kv.value)
    return found


def of_tomorrow(document: dict[str, Any]) -> None:
    """Fields that this version does not know, everywhere that it writes."""
    for part in ("spec", "status", "metadata"):
        document.setdefault(part, {})["ofTomorrow"] = {"part": part, "list": [1, None]}
    for condition in document["status"].get("conditions", ()):
        condition["ofTomorrow"] = True


def of_yesterday(document: dict[str, Any]) -> None:
    """Nothing that has a default is said: the version before did not know the field."""
    for part in ("spec", "status"):
        for name, value in list(document.get(part, {}).items()):
            if value in (None, [], {}, 0, False, ""):
                del document[part][name]


@virtually()
async def test_what_a_newer_version_wrote_survives_an_older_one_that_leads_for_a_while(act: Act) -> None:
    await machines(act, 3)
    act.processes.start("b")
    await passes(act, 60)
    before = set(act.fleet.machines())
    act.processes.kill("a")
    await passes(act, 5)
    assert await rewrite(act, of_tomorrow) >= 6
    await passes(act, 60)
    act.fleet.controls.terminate(ids(act.fleet.machines()[0]))  # so that all of them are written
    await until(act, lambda: online(act, 3), within_s=120)
    act.processes.start("a")
    await passes(act, HOUR_S)
    assert len(before & set(act.fleet.machines())) == 2
    assert not act.laws.ended()
    for key, document in (await stored(act)).items():
        for part in ("spec", "status"):
            assert document[part].get("ofTomorrow") == {"part": part, "list": [1, None]}, (key, part)
        assert document["metadata"]["ofTomorrow"], key
    await settled(act)


@virtually()
async def test_what_an_older_version_wrote_is_taken_over_without_a_single_launch(act: Act) -> None:
    await machines(act, 3)
    await passes(act, 60)
    before = act.fleet.machines()
    act.processes.kill("a")
    assert await rewrite(act, of_yesterday) >= 6
    assert all(set(document) <= _ALWAYS for document in (await stored(act)).values())
    launched = len([call for call in act.fleet.world.log.since(0) if call.action == "RunInstances"])
    act.processes.start("b")
    await passes(act, HOUR_S)
    assert act.fleet.machines() == before
    assert len([call for call in act.fleet.world.log.since(0) if call.action == "RunInstances"]) == launched
    await until(act, lambda: online(act, 3), within_s=10)
    await settled(act)
