"""Stories of machines that are renewed, taken out after a while, kept stopped, started and taken back."""

import asyncio
from typing import Any

from tests.kit.crash import Act, Story
from tests.kit.rare_stories import machines
from tests.kit.stories import LAYER, STACK

from strata.resources.instance import Instance, Phase
from strata_sim.witness import live

_SOON: dict[str, Any] = {"shutdown": {"timeout": "10s"}}
_OTHER: dict[str, Any] = {"instance": {"detailedMonitoring": True}}
_IN_PLACE: dict[str, Any] = {"update": {"maxSurge": 0, "maxUnavailable": 1}}


async def _want(act: Act, count: int, **spec: Any) -> None:
    await act.fleet.person.layer(STACK, LAYER, count, **_SOON | spec)


async def _slots(act: Act) -> dict[str, Instance]:
    """By name. None leaves."""
    return {slot.metadata.name: slot for slot in await act.fleet.instances(STACK)}


async def _are(act: Act, *, online: int, stopped: int = 0) -> bool:
    """Exactly so many slots, none of them on its way out, and no machine beside them."""
    slots = list((await _slots(act)).values())
    phases = [slot.status.phase for slot in slots]
    counted = (phases.count(Phase.ONLINE), phases.count(Phase.STOPPED), len(slots), len(live(act.fleet.world)))
    settled = not any(slot.status.leave or slot.metadata.deleting for slot in slots)
    return settled and counted == (online, stopped, online + stopped, online + stopped)


async def _renewed(act: Act, count: int) -> bool:
    rollout = (await act.fleet.get_layer(STACK, LAYER)).status.rollout
    wanted = rollout is not None and rollout.revision > 1 and (rollout.updated, rollout.outdated) == (count, 0)
    return wanted and await _are(act, online=count)


async def _two(act: Act) -> None:
    await machines(act, 2, **_SOON)


async def _change(act: Act) -> None:
    await _want(act, 2, **_OTHER)


async def _two_renewed(act: Act) -> bool:
    return await _renewed(act, 2)


ROLLOUT = Story("rollout", _two, _change, _two_renewed, rare=True)


async def _two_in_place(act: Act) -> None:
    await machines(act, 2, **_SOON | _IN_PLACE)


async def _change_in_place(act: Act) -> None:
    await _want(act, 2, **_OTHER | _IN_PLACE)


async def _two_renewed_in_place(act: Act) -> bool:
    return await _renewed(act, 2) and set(await _slots(act)) == {"web-1", "web-2"}


RENEWED_IN_PLACE = Story("renewed_in_place", _two_in_place, _change_in_place, _two_renewed_in_place, rare=True)


async def _change_and_undo(act: Act) -> None:
    """The new template's machines never come up."""
    act.fleet.controls.boots("stuck", 9)
    await _want(act, 2, **_OTHER)
    await asyncio.sleep(8)
    await _want(act, 2)


async def _two_of_old(act: Act) -> bool:
    rollout = (await act.fleet.get_layer(STACK, LAYER)).status.rollout
    number = rollout.revision if rollout is not None and not rollout.outdated else 0
    return number in {1, 3} and await _are(act, online=2)  # 1: nobody was there to see the new one


UNDONE = Story("undone", _two, _change_and_undo, _two_of_old, rare=True)


async def _three_kept(act: Act) -> None:
    await machines(act, 3, **_SOON, capacity={"always": 3, "scaleIn": "stop"})


async def _keep_one(act: Act) -> None:
    await _want(act, 1, capacity={"always": 1, "scaleIn": "stop"})


async def _one_and_two_warm(act: Act) -> bool:
    return await _are(act, online=1, stopped=2)


KEPT_WARM = Story("kept_warm", _three_kept, _keep_one, _one_and_two_warm, rare=True)


async def _two_warm(act: Act) -> None:
    await _three_kept(act)
    await _keep_one(act)
    await act.fleet.until(lambda: _one_and_two_warm(act), within_s=60)


async def _want_all(act: Act) -> None:
    await _want(act, 3, capacity={"always": 3, "scaleIn": "stop"})


async def _three_as_before(act: Act) -> bool:
    return await _are(act, online=3) and not act.laws.ended()


STARTED_WARM = Story("started_warm", _two_warm, _want_all, _three_as_before, rare=True)


async def _three(act: Act) -> None:
    await machines(act, 3, shutdown={"timeout": "2h"})


async def _less_and_more(act: Act) -> None:
    await _want(act, 1, shutdown={"timeout": "2h"})
    await asyncio.sleep(5)
    await _want(act, 3, shutdown={"timeout": "2h"})


TAKEN_BACK = Story("taken_back", _three, _less_and_more, _three_as_before, rare=True)

ROLLOUT_STORIES = (ROLLOUT, RENEWED_IN_PLACE, UNDONE, KEPT_WARM, STARTED_WARM, TAKEN_BACK)
