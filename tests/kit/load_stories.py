"""Stories of a layer whose number follows its load: read from CloudWatch, alarms and Prometheus."""

from tests.kit.crash import Act, Story
from tests.kit.prometheus import FakePrometheus
from tests.kit.stories import LAYER, STACK, online

from strata.resources import kinds
from strata_sim.load import LayerKey, Load

_QUICK = {"for": "1m", "cooldown": "1m"}
_RULES = {
    "up": {"cpuPercent": 80, "match": "all", **_QUICK},
    "down": {"cpuPercent": 30, **_QUICK},
    "signals": [
        {"name": "queue", "prometheus": {"source": "main", "query": "jobs"}, "up": 60, "down": 5},
        {"name": "backlog", "cloudwatchAlarm": "backlog"},
    ],
}


async def _two_that_wait_for_load(act: Act) -> None:
    """All three signals must agree; two of them do. Nobody looks now."""
    act.fleet.prometheus["main"] = FakePrometheus({"jobs": lambda _: 99.0})
    act.fleet.controls.alarm("backlog", "ALARM")
    act.fleet.controls.load(LayerKey(STACK, LAYER), Load(mean=100))
    act.processes.start()
    await act.fleet.person.stack(STACK)
    capacity = {"always": 2, "max": 3, "load": _RULES}
    spec = {"capacity": capacity, "instance": {"detailedMonitoring": True}}
    await act.fleet.person.apply(kinds.LAYER, LAYER, spec, STACK)
    await act.fleet.online(STACK, 2)
    act.processes.kill()


async def _work_comes(act: Act) -> None:
    act.fleet.controls.load(LayerKey(STACK, LAYER), Load(mean=250))
    act.processes.start()


async def _three_online(act: Act) -> bool:
    return await online(act, 3)


LOADED = Story("loaded", _two_that_wait_for_load, _work_comes, _three_online, rare=True)

LOAD_STORIES = (LOADED,)
