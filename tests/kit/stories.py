"""The stories in which a process is killed at every point: launch, heal, scale-in, delete, and what is rarer."""

from tests.kit.crash import Act, Story

from strata.resources import kinds
from strata.resources.instance import Instance, Phase
from strata_sim.controls import ids

STACK, LAYER = "shop", "web"


async def online(act: Act, count: int) -> bool:
    found: list[Instance] = await act.fleet.instances(STACK)
    live = act.fleet.machines()
    return len(found) == len(live) == count and all(one.status.phase == Phase.ONLINE for one in found)


async def _stack(act: Act) -> None:
    act.processes.start()
    await act.fleet.person.stack(STACK)


async def _three(act: Act) -> None:
    await _stack(act)
    await act.fleet.person.layer(STACK, LAYER, 3, healing={"impairedAfter": "20s"})
    await act.fleet.online(STACK, 3)


async def _apply(act: Act) -> None:
    await act.fleet.person.layer(STACK, LAYER, 3)


async def three_online(act: Act) -> bool:
    return await online(act, 3)


LAUNCH = Story("launch", _stack, _apply, three_online)


async def _terminate_one(act: Act) -> None:
    act.fleet.controls.terminate(ids(act.fleet.machines()[0]))


HEAL_TERMINATED = Story("heal_terminated", _three, _terminate_one, three_online)


async def _impair_one(act: Act) -> None:
    victim = act.fleet.machines()[0]
    act.fleet.controls.impair(ids(victim))


async def _healed(act: Act) -> bool:
    return await online(act, 3) and len(act.laws.ended()) == 1


HEAL_IMPAIRED = Story("heal_impaired", _three, _impair_one, _healed)


async def _scale_in(act: Act) -> None:
    await act.fleet.person.layer(STACK, LAYER, 1)


async def _one_online(act: Act) -> bool:
    return await online(act, 1)


SCALE_IN = Story("scale_in", _three, _scale_in, _one_online)


async def _delete_layer(act: Act) -> None:
    await act.fleet.person.delete(kinds.LAYER, LAYER, STACK)


async def _no_layer(act: Act) -> bool:
    return await act.fleet.person.read(kinds.LAYER, LAYER, STACK) is None and not act.fleet.machines()


DELETE_LAYER = Story("delete_layer", _three, _delete_layer, _no_layer)


async def _delete_stack(act: Act) -> None:
    await act.fleet.person.delete(kinds.STACK, STACK)


async def _empty(act: Act) -> bool:
    objects = [await act.fleet.person.all(kind) for kind in kinds.SERVED]
    return not any(objects) and not act.fleet.machines()


DELETE_STACK = Story("delete_stack", _three, _delete_stack, _empty)

STORIES = (LAUNCH, HEAL_TERMINATED, HEAL_IMPAIRED, SCALE_IN, DELETE_LAYER, DELETE_STACK)
