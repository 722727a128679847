"""CloudWatch as boto3 speaks to it: AWS's JSON 1.0. Times are Unix seconds, both ways."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from strata_sim import actions, cloudwatch
from strata_sim.actions import Action, R
from strata_sim.errors import Ec2Error
from strata_sim.shapes import Params
from strata_sim.world import World

TARGET: Final = "GraniteServiceVersion20100801."
_TIMES: Final = ("StartTime", "EndTime")
_ANSWERS: Final[dict[str, tuple[Action[Any], Callable[[Any], Mapping[str, Any]]]]] = {}


def _answers(action: Action[R], answer: Callable[[R], Mapping[str, Any]]) -> None:
    _ANSWERS[action.name] = action, answer


def answer(world: World, region: str, name: str, params: Params, caller: str) -> dict[str, Any]:
    """Carry out an action of CloudWatch's; what its JSON says. Raises Ec2Error."""
    if name not in _ANSWERS:
        raise Ec2Error("UnknownOperationException", f"{TARGET}{name} is not simulated")
    action, told = _ANSWERS[name]
    times = {name: _time(params[name]) for name in _TIMES if name in params}
    return dict(told(world.call(region, action, params | times, caller)))


def _time(value: object) -> datetime:
    if not isinstance(value, int | float):
        raise Ec2Error("SerializationException", f"{value!r} is no time in Unix seconds")
    return datetime.fromtimestamp(value, UTC)


def _metrics(page: cloudwatch.MetricPage) -> dict[str, Any]:
    results = [
        {
            "Id": one.id,
            "Label": one.label,
            "Timestamps": [float(at_s) for at_s, _ in one.points],
            "Values": [value for _, value in one.points],
            "StatusCode": "Complete" if one.complete else "PartialData",
        }
        for one in page.results
    ]
    return {"MetricDataResults": results, "Messages": []} | _token(page.next_token)


def _alarms(page: cloudwatch.AlarmPage) -> dict[str, Any]:
    metric = [_alarm(row) for row in page.rows if not row.alarm.composite]
    composite = [_alarm(row) for row in page.rows if row.alarm.composite]
    return {"MetricAlarms": metric, "CompositeAlarms": composite} | _token(page.next_token)


def _alarm(row: cloudwatch.AlarmRow) -> dict[str, Any]:
    since_s = row.alarm.since.timestamp()
    times = {"StateUpdatedTimestamp": since_s, "StateTransitionedTimestamp": since_s}
    return {"AlarmName": row.name, "StateValue": row.alarm.value} | times


def _token(next_token: str) -> dict[str, str]:
    return {"NextToken": next_token} if next_token else {}


_answers(actions.GET_METRIC_DATA, _metrics)
_answers(actions.DESCRIBE_ALARMS, _alarms)
