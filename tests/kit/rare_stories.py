"""Stories of what is rare: lost replies, refusals, expired tokens, leaks, orphans, restores, stops, takeovers."""

import asyncio
from typing import Any, Literal

import msgspec
from tests.kit.crash import Act, Story
from tests.kit.fleet import REGION
from tests.kit.stories import LAYER, STACK, online, three_online

from strata.resources import kinds, tags
from strata.resources.cluster import Orphan
from strata.resources.codec import decode, encode
from strata.resources.instance import Instance, Phase
from strata.resources.kinds import Kind
from strata.settings import ControllerSettings
from strata.store.port import Delete, ModRevisionIs, Put
from strata_sim.controls import ids
from strata_sim.faults import Fault
from strata_sim.knobs import Delays

# As in production, but that proofs and graces take minutes instead of quarters of an hour.
QUICK = ControllerSettings(
    resync_s=120.0,
    sweep_interval_s=120.0,
    absence_gap_s=30.0,
    absence_age_s=120.0,
    launch_unanswered_s=60.0,
    launch_sweep_after_s=90.0,
    orphan_grace_s=120.0,
)
_LONG_DOWN_S = 13 * 3600.0  # longer than a token is trusted
_MANY = 401
OWN_IMAGE = "ami-0a12023000000000a"  # one that the simulator knows, and no layer names
_SWEEP = f"DescribeInstances by tag:{tags.CLUSTER}"
_DAY_S = 25 * 3600.0  # longer than a record is kept
_HOURS_S = 2 * 3600.0  # longer than EC2 shows what is terminated


async def stack(act: Act) -> None:
    act.processes.start()
    await act.fleet.person.stack(STACK)


async def machines(act: Act, count: int, **spec: Any) -> None:
    """A running daemon, and so many machines online."""
    await stack(act)
    await act.fleet.person.layer(STACK, LAYER, count, **spec)
    await act.fleet.online(STACK, count)


async def start(act: Act) -> None:
    act.processes.start()


async def die_launching(act: Act, point: str) -> None:
    """The daemon dies at this point of its first launch."""
    act.processes.start().die_at(point)
    await act.fleet.person.stack(STACK)
    await act.fleet.person.layer(STACK, LAYER, 1)
    await act.fleet.until(lambda: act.processes.running["a"].dead, within_s=30)
    act.processes.kill()


async def remove(act: Act, kind: Kind, *names: str) -> None:
    """Take objects out of the store by hand, whatever finalizers they have."""
    await act.fleet.store.txn([], [Delete(kind.key(name, STACK)) for name in names])


async def _slots(act: Act) -> list[Instance]:
    return await act.fleet.instances(STACK)


# -- the first start -----------------------------------------------------------------------------------------


async def nothing(_act: Act) -> None:
    """The world is empty."""


async def _pinned(act: Act) -> bool:
    cluster = act.server.get(kinds.CLUSTER_KEY)
    return cluster is not None and bool(act.laws.cluster().accounts)


FIRST = Story("first", nothing, stack, _pinned)


# -- launches ------------------------------------------------------------------------------------------------


async def _apply_losing_replies(act: Act) -> None:
    act.fleet.controls.fault(Fault("lose-reply", actions=frozenset({"RunInstances"}), count=2))
    act.fleet.controls.fault(Fault("error-after", code="InternalError", actions=frozenset({"RunInstances"}), count=2))
    await act.fleet.person.layer(STACK, LAYER, 3)


LOST_REPLIES = Story("lost_replies", stack, _apply_losing_replies, three_online, rare=True)


async def _apply_without_capacity(act: Act) -> None:
    act.fleet.controls.capacity("t3.small", "us-east-1a", 0)
    act.fleet.controls.capacity("t3.small", "us-east-1b", 1)
    await act.fleet.person.layer(STACK, LAYER, 6)


async def _six_online(act: Act) -> bool:
    return await online(act, 6)


REFUSED = Story("refused", stack, _apply_without_capacity, _six_online, rare=True)


async def _expire_made(act: Act) -> None:
    await die_launching(act, "after RunInstances")
    await asyncio.sleep(_LONG_DOWN_S)


async def _expire_unmade(act: Act) -> None:
    await die_launching(act, "before RunInstances")
    await asyncio.sleep(_LONG_DOWN_S)


async def _one_online(act: Act) -> bool:
    return await online(act, 1)


EXPIRED_MADE = Story("expired_made", _expire_made, start, _one_online, rare=True, settings=QUICK)
EXPIRED_UNMADE = Story("expired_unmade", _expire_unmade, start, _one_online, rare=True, settings=QUICK)


async def _strip_in_flight(act: Act) -> None:
    await die_launching(act, "after RunInstances")
    await remove(act, kinds.INSTANCE, f"{LAYER}-1")


SURPLUS = Story("surplus", _strip_in_flight, start, _one_online, rare=True, settings=QUICK)


async def _age_records(act: Act) -> None:
    await machines(act, 2)
    act.fleet.controls.terminate(ids(act.fleet.machines()[0]))
    await act.fleet.until(lambda: len(act.fleet.machines()) == 2, within_s=60)
    await act.fleet.online(STACK, 2)
    act.processes.kill()
    await asyncio.sleep(_DAY_S)


async def _two_records(act: Act) -> bool:
    return len(await act.fleet.person.all(kinds.LAUNCH)) == 2 and await online(act, 2)


OLD_RECORDS = Story("old_records", _age_records, start, _two_records, rare=True)


# -- machines that changed while nobody looked ---------------------------------------------------------------


async def _vanish(act: Act) -> None:
    await machines(act, 2)
    act.processes.kill()
    act.fleet.controls.terminate(ids(act.fleet.machines()[0]))
    await asyncio.sleep(_HOURS_S)


async def _two_online(act: Act) -> bool:
    return await online(act, 2)


VANISHED = Story("vanished", _vanish, start, _two_online, rare=True, settings=QUICK)


async def _two_restarting(act: Act) -> None:
    await machines(act, 2, healing={"action": "restart", "impairedAfter": "20s"})


async def _impair_one(act: Act) -> None:
    act.fleet.controls.impair(ids(act.fleet.machines()[0]))


async def _restarted(act: Act) -> bool:
    starts = sum(call.action == "StartInstances" and not call.code for call in act.fleet.world.log.since(0))
    return starts > 0 and await online(act, 2)


RESTARTED = Story("restarted", _two_restarting, _impair_one, _restarted, rare=True)


async def _two(act: Act) -> None:
    await machines(act, 2)


async def _stop_one(act: Act) -> None:
    act.fleet.controls.stop(ids(act.fleet.machines()[0]))


async def _one_replaced(act: Act) -> bool:
    return len(act.laws.ended()) == 1 and await online(act, 2)


STOPPED = Story("stopped", _two, _stop_one, _one_replaced, rare=True)


async def _never_boots(act: Act) -> None:
    act.fleet.controls.boots("stuck")
    await act.fleet.person.layer(STACK, LAYER, 2, healing={"startDeadline": "20s"})


NEVER_BOOTS = Story("never_boots", stack, _never_boots, _two_online, rare=True, settings=QUICK)


# -- power, protection ---------------------------------------------------------------------------------------


async def hand_made(act: Act, power: str) -> None:
    await act.fleet.person.apply(kinds.INSTANCE, "db", {"layers": [LAYER], "power": power}, STACK)


async def _one_by_hand(act: Act) -> None:
    await machines(act, 0)
    await hand_made(act, "running")
    await act.fleet.online(STACK, 1)


async def _stop_by_hand(act: Act) -> None:
    await hand_made(act, "stopped")


async def _start_by_hand(act: Act) -> None:
    await hand_made(act, "running")


async def _in_phase(act: Act, phase: Phase) -> bool:
    found = await _slots(act)
    return len(found) == len(act.fleet.machines()) == 1 and found[0].status.phase == phase


async def _is_stopped(act: Act) -> bool:
    return await _in_phase(act, Phase.STOPPED)


async def _is_online(act: Act) -> bool:
    return await _in_phase(act, Phase.ONLINE)


async def _one_stopped(act: Act) -> None:
    await _one_by_hand(act)
    await _stop_by_hand(act)
    await act.fleet.until(lambda: _is_stopped(act), within_s=60)


POWER_OFF = Story("power_off", _one_by_hand, _stop_by_hand, _is_stopped, rare=True)
POWER_ON = Story("power_on", _one_stopped, _start_by_hand, _is_online, rare=True)


async def _two_protected(act: Act) -> None:
    await machines(act, 2)
    protect(act, act.fleet.machines()[0], protected=True)


def protect(act: Act, instance_id: str, *, protected: bool) -> None:
    act.fleet.world.region(REGION).instances[instance_id].protected = protected


async def _delete_layer(act: Act) -> None:
    await act.fleet.person.delete(kinds.LAYER, LAYER, STACK)


async def _gone_once_unprotected(act: Act) -> bool:
    """A person sees the one that is left, and why, and takes its protection off."""
    live = act.fleet.machines()
    left = await _slots(act)
    if len(left) == len(live) == 1 and any(one.type == "Stalled" for one in left[0].status.conditions):
        protect(act, live[0], protected=False)
    return not live and await act.fleet.person.read(kinds.LAYER, LAYER, STACK) is None


PROTECTED = Story("protected", _two_protected, _delete_layer, _gone_once_unprotected)  # every point: each write matters


# -- records lost: orphans, restores -------------------------------------------------------------------------


async def _lose_records(act: Act, count: int, *, of: int) -> None:
    """The records of the first slots are lost; the machines are older than the reaper's grace."""
    await machines(act, of)
    await asyncio.sleep(QUICK.orphan_grace_s)
    act.processes.kill()
    lost = sorted(await _slots(act), key=lambda slot: slot.metadata.name)[:count]
    await remove(act, kinds.INSTANCE, *(slot.metadata.name for slot in lost))
    await remove(act, kinds.LAUNCH, *{slot.status.launch.launch_id for slot in lost if slot.status.launch})


async def _leak_one(act: Act) -> None:
    await _lose_records(act, 1, of=2)


ORPHAN_REAPED = Story("orphan_reaped", _leak_one, start, _two_online, rare=True, settings=QUICK)


async def _leak_four(act: Act) -> None:
    await _lose_records(act, 4, of=4)


async def _four_decided(act: Act) -> bool:
    """A person decides on each orphan: delete, adopt, adopt into a layer that is not there (and then delete)."""
    listing = await act.fleet.store.list(kinds.ORPHANS)
    for number, kv in enumerate(listing.items):
        orphan = decode(Orphan, kv.value)
        if not orphan.decision:
            await _decide(act, orphan, number)
    heard = act.decided
    return len(heard) == 4 and not listing.items and await online(act, 4)


async def _decide(act: Act, orphan: Orphan, number: int) -> None:
    refused = bool(orphan.message)
    first = orphan.instance_id not in act.decided
    act.decided.add(orphan.instance_id)
    decision: Literal["adopt", "delete"] = "adopt" if first and number % 2 else "delete"
    into = "nowhere" if decision == "adopt" and number == 3 and not refused else LAYER
    await decide(act, orphan.instance_id, decision, into)


async def decide(act: Act, instance_id: str, decision: Literal["adopt", "delete"], into: str = "") -> None:
    """A person's word, as the API server writes it."""
    key = f"{kinds.ORPHANS}{instance_id}"
    while (kv := await act.fleet.store.get(key)) is not None:
        orphan = msgspec.structs.replace(decode(Orphan, kv.value), decision=decision, adopt_into=into)
        if (await act.fleet.store.txn([ModRevisionIs(key, kv.mod_revision)], [Put(key, encode(orphan))])).succeeded:
            return


ORPHANS_HELD = Story("orphans_held", _leak_four, start, _four_decided, settings=QUICK)


async def _four_held_paused(act: Act) -> None:
    await _leak_four(act)
    await act.fleet.person.stack(STACK, paused=True)
    act.processes.start()
    await act.fleet.until(lambda: _are_held(act, 4), within_s=300)


async def _are_held(act: Act, count: int) -> bool:
    return len((await act.fleet.store.list(kinds.ORPHANS)).items) == count


async def _decide_all(act: Act, decision: Literal["adopt", "delete"], into: str = "") -> None:
    for kv in (await act.fleet.store.list(kinds.ORPHANS)).items:
        await decide(act, kv.key.removeprefix(kinds.ORPHANS), decision, into)


async def _adopt_all(act: Act) -> None:
    await _decide_all(act, "adopt", LAYER)


async def _four_adopted(act: Act) -> bool:
    if await _are_held(act, 0):
        await act.fleet.person.stack(STACK)
    return not act.laws.ended() and await online(act, 4)


ADOPTED = Story("adopted", _four_held_paused, _adopt_all, _four_adopted, rare=True, settings=QUICK)


async def _delete_all(act: Act) -> None:
    await _decide_all(act, "delete")


async def _four_deleted(act: Act) -> bool:
    """A person hears that nothing is ended in a paused stack, and lets it go on."""
    listing = await act.fleet.store.list(kinds.ORPHANS)
    if all(decode(Orphan, kv.value).message for kv in listing.items):
        await act.fleet.person.stack(STACK)
    return not listing.items and len(act.laws.ended()) == 4 and await online(act, 4)


DECIDED_PAUSED = Story("decided_paused", _four_held_paused, _delete_all, _four_deleted, rare=True, settings=QUICK)


async def _restore(act: Act) -> None:
    """A backup of a moment ago, under the watch of a running daemon."""
    act.fleet.server.restore(act.fleet.server.revision - 1)
    act.laws.store_went_back()


async def _held_and_released(act: Act) -> bool:
    identity = act.laws.cluster()
    return identity.incarnation > 1 and not identity.held_because and await online(act, 2)


async def _two_witnessed(act: Act) -> None:
    await machines(act, 2)
    await asyncio.sleep(60)
    await act.fleet.person.layer(STACK, LAYER, 2, attributes={})
    await asyncio.sleep(60)


RESTORED = Story("restored", _two_witnessed, _restore, _held_and_released, rare=True, settings=QUICK)


async def _restore_while_down(act: Act) -> None:
    await _two_witnessed(act)
    act.processes.kill()
    await _restore(act)


RESTORED_DOWN = Story("restored_down", _restore_while_down, start, _held_and_released, rare=True, settings=QUICK)


async def _held_without_orphans(act: Act) -> None:
    """The hold is about to end: all are accounted for, and the young will soon have had time to become old."""
    await _restore_while_down(act)
    act.processes.start()
    await act.fleet.until(lambda: bool(act.laws.cluster().held_because), within_s=60)
    await asyncio.sleep(QUICK.orphan_grace_s / 2)


RELEASED = Story("released", _held_without_orphans, nothing, _held_and_released, rare=True, settings=QUICK)


async def _two_of_one_id(act: Act) -> None:
    act.server.keeps_its_id = True
    await _two_witnessed(act)


async def _restore_unwitnessed(act: Act) -> None:
    """The backup is so young, and so like the store, that only the watch can tell."""
    await act.fleet.person.layer(STACK, LAYER, 2)
    await act.fleet.person.stack(STACK)
    await act.fleet.store.txn([], [Put("/strata/other", b"later than the backup")])
    await asyncio.sleep(1)
    await _restore(act)
    await asyncio.sleep(20)


RESTORED_UNWITNESSED = Story(
    "restored_unwitnessed", _two_of_one_id, _restore_unwitnessed, _two_online, rare=True, settings=QUICK
)


async def _leak_five(act: Act) -> None:
    await _lose_records(act, 5, of=5)


async def _five_gone(act: Act) -> bool:
    """Of the orphans that wait for a person one is ended by somebody else, then the others."""
    listing = await act.fleet.store.list(kinds.ORPHANS)
    found = [decode(Orphan, kv.value).instance_id for kv in listing.items]
    if len(found) == 5:
        act.decided.add(found[0])
        act.fleet.controls.terminate(ids(found[0]))
    elif len(found) == 4 and act.decided:
        act.fleet.controls.terminate(ids(*found))
    return bool(act.decided) and not found and await online(act, 5)


ORPHANS_GONE = Story("orphans_gone", _leak_five, start, _five_gone, rare=True, settings=QUICK)


async def _lose_layer(act: Act) -> None:
    await remove(act, kinds.LAYER, LAYER)


async def _nothing_left(act: Act) -> bool:
    return not await _slots(act) and not act.fleet.machines()


OWNER_GONE = Story("owner_gone", _two, _lose_layer, _nothing_left, rare=True)


# -- slow and many -------------------------------------------------------------------------------------------


async def _down(act: Act) -> None:
    await machines(act, 2)
    act.processes.kill()
    await asyncio.sleep(30)


async def _start_slowly(act: Act) -> None:
    store = act.processes.start().store
    assert store is not None
    store.listing_takes_s = 5.0
    await asyncio.sleep(10)


SLOW_START = Story("slow_start", _down, _start_slowly, _two_online, rare=True)


async def _apply_many(act: Act) -> None:
    """More than are asked for by id."""
    act.fleet.controls.delays(Delays(status_ok_s=60.0))
    await act.fleet.person.layer(STACK, LAYER, _MANY)


async def _many_online(act: Act) -> bool:
    return await online(act, _MANY)


MANY = Story("many", stack, _apply_many, _many_online, kinds=(_SWEEP,))


# -- images --------------------------------------------------------------------------------------------------


async def _own_image(act: Act) -> None:
    own = {"layers": [LAYER], "instance": {"image": {"id": OWN_IMAGE}}}
    await act.fleet.person.apply(kinds.INSTANCE, "db", own, STACK)


async def _of_own_image(act: Act) -> bool:
    found = await _slots(act)
    return await online(act, 1) and all(slot.status.ec2 and slot.status.ec2.image_id == OWN_IMAGE for slot in found)


async def _no_slot(act: Act) -> None:
    await machines(act, 0)


OWN_IMAGES = Story("own_images", _no_slot, _own_image, _of_own_image, rare=True)


# -- two of us -----------------------------------------------------------------------------------------------


async def _two_and_two(act: Act) -> None:
    await machines(act, 2)
    act.processes.start("b")
    await asyncio.sleep(30)


async def _lose_leader(act: Act) -> None:
    act.processes.running["a"].kill()
    act.fleet.controls.terminate(ids(act.fleet.machines()[0]))


TAKEN_OVER = Story("taken_over", _two_and_two, _lose_leader, _two_online, rare=True)

RARE_STORIES = (
    FIRST,
    LOST_REPLIES,
    REFUSED,
    EXPIRED_MADE,
    EXPIRED_UNMADE,
    SURPLUS,
    OLD_RECORDS,
    VANISHED,
    RESTARTED,
    STOPPED,
    NEVER_BOOTS,
    POWER_OFF,
    POWER_ON,
    PROTECTED,
    ORPHAN_REAPED,
    ORPHANS_HELD,
    ADOPTED,
    DECIDED_PAUSED,
    RESTORED,
    RESTORED_DOWN,
    RELEASED,
    RESTORED_UNWITNESSED,
    ORPHANS_GONE,
    OWNER_GONE,
    SLOW_START,
    MANY,
    OWN_IMAGES,
    TAKEN_OVER,
)
