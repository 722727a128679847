"""Stories of spot machines that EC2 takes back, of the queue that says so early, and of a queue that says nothing."""

from typing import Any

from tests.kit.crash import Act, Story
from tests.kit.rare_stories import machines
from tests.kit.stories import online

from strata_sim.controls import ids
from strata_sim.faults import Fault
from strata_sim.witness import live, lives

_SPOT: dict[str, Any] = {"instance": {"spot": {"percentage": 100}}}
_RECEIVE = frozenset({"ReceiveMessage"})


async def _two(act: Act) -> None:
    await machines(act, 2, **_SPOT)


def _spot(act: Act) -> list[str]:
    return [one.id for one in live(act.fleet.world) if one.birth.lifecycle == "spot"]


async def _interrupt(act: Act) -> None:
    act.fleet.controls.interrupt(ids(_spot(act)[0]))


async def _replaced(act: Act) -> bool:
    return await online(act, 2) and len(list(lives(act.fleet.world))) == 3


INTERRUPTED = Story("interrupted", _two, _interrupt, _replaced, rare=True, with_queue=True)


async def _two_unled(act: Act) -> None:
    await _two(act)
    act.processes.kill()


async def _interrupt_and_start(act: Act) -> None:
    await _interrupt(act)
    act.processes.start()


INTERRUPTED_UNLED = Story("interrupted_unled", _two_unled, _interrupt_and_start, _replaced, rare=True)


async def _interrupt_for_good(act: Act) -> None:
    act.fleet.controls.capacity("t3.small", None, 0, "spot")
    await _interrupt(act)


async def _fallen_back(act: Act) -> bool:
    return await online(act, 2) and len(_spot(act)) == 1


FALLEN_BACK = Story("fallen_back", _two, _interrupt_for_good, _fallen_back, rare=True)


async def _terminate(act: Act) -> None:
    act.fleet.controls.terminate(ids(_spot(act)[0]))


async def _two_online(act: Act) -> bool:
    return await online(act, 2) and len(list(lives(act.fleet.world))) == 3


TOLD_OF_A_DEATH = Story("told_of_a_death", _two, _terminate, _two_online, rare=True, with_queue=True)


async def _terminate_unheard(act: Act) -> None:
    act.fleet.controls.fault(Fault("refuse", "AccessDenied", actions=_RECEIVE, count=None))
    await _terminate(act)


DEAF = Story("deaf", _two, _terminate_unheard, _two_online, rare=True, with_queue=True)

SPOT_STORIES = (INTERRUPTED, INTERRUPTED_UNLED, FALLEN_BACK, TOLD_OF_A_DEATH, DEAF)
