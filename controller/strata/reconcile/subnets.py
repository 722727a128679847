"""What EC2 says of a stack's subnets; read now and then, for the stack's condition."""

from strata.clock import Clock
from strata.cloud.port import Cloud
from strata.engine.runner import SteppingAside
from strata.errors import CloudError
from strata.planner.facts import Known, Unknown
from strata.resources.machine import Subnet
from strata.resources.stack import Stack

_KEEP_S = 600.0
_KEEP_FAILURE_S = 30.0
_KEEP_MISSING_S = 30.0  # a person may be about to create it

_Answer = Known[tuple[Subnet, ...]] | Unknown


class Subnets:
    """Subnets of one region."""

    def __init__(self, cloud: Cloud, clock: Clock, stepping_aside: SteppingAside) -> None:
        self._cloud = cloud
        self._clock = clock
        self._stepping_aside = stepping_aside
        self._answers: dict[tuple[str, ...], tuple[float, _Answer]] = {}

    async def read(self, stack: Stack) -> _Answer:
        """The stack's subnets, as far as they exist; or why nobody knows. Never raises."""
        ids = tuple(sorted({subnet.id for subnet in stack.spec.subnets}))
        kept = self._answers.get(ids)
        now_s = self._clock.monotonic_s()
        if kept is not None and now_s < kept[0]:
            return kept[1]
        self._answers = {known: kept for known, kept in self._answers.items() if now_s < kept[0]}
        answer: _Answer
        try:
            with self._stepping_aside():
                found = await self._cloud.describe_subnets(ids)
            answer, keep_s = Known(found), _KEEP_S if len(found) == len(ids) else _KEEP_MISSING_S
        except CloudError as error:
            answer, keep_s = Unknown(error.kind.value, error.message), _KEEP_FAILURE_S
        self._answers[ids] = (now_s + keep_s, answer)
        return answer
