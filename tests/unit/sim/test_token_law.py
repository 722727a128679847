"""The law of client tokens under random calls, against a model of ten lines."""

from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from tests.unit.sim.kit import Sim

from strata_sim import witness
from strata_sim.controls import ids
from strata_sim.errors import Ec2Error, ReplyLostError
from strata_sim.faults import Fault
from strata_sim.tokens import REMEMBERED_S

TOKENS = st.sampled_from(["t1", "t2", "t3"])
SUBNETS = st.sampled_from(["subnet-0a", "subnet-0b"])
COUNTS = st.integers(1, 3)


class TokenLaw(RuleBasedStateMachine):
    """For each (token, zone): the parameters, the ids and the time at which the last of them was terminated."""

    def __init__(self) -> None:
        super().__init__()
        self.sim = Sim()
        self.sim.controls.throttle(None)
        self.launched: dict[tuple[str, str], tuple[int, list[str]]] = {}

    @rule(token=TOKENS, subnet=SUBNETS, count=COUNTS, lost=st.booleans())
    def launch(self, token: str, subnet: str, count: int, lost: bool) -> None:  # noqa: FBT001 - hypothesis calls it
        if lost:
            self.sim.controls.fault(Fault("lose-reply", actions=frozenset({"RunInstances"})))
        expected = self._expected(token, subnet, count)
        before = self._made()
        try:
            found: Any = self.sim.launch(count, under=token, SubnetId=subnet)
        except Ec2Error as error:
            found = error.code
        except ReplyLostError:
            found = None
        made = self._made()[len(before) :]
        assert len(made) <= count
        if expected == "new":
            assert made or found == "InsufficientInstanceCapacity" or lost
            if made:
                self.launched[token, subnet] = (count, made)
        else:
            assert made == []
        if found is not None and expected != "new":
            assert found == expected

    def _expected(self, token: str, subnet: str, count: int) -> object:
        known = self.launched.get((token, subnet))
        if known is None or self._forgotten(known[1]):
            return "new"
        if known[0] != count:
            return "IdempotentParameterMismatch"
        if all(self._ended_since_s(one) is not None for one in known[1]):
            return "IdempotentInstanceTerminated"
        return known[1]

    def _forgotten(self, instance_ids: list[str]) -> bool:
        ended = [self._ended_since_s(one) for one in instance_ids]
        return all(since is not None and since > REMEMBERED_S for since in ended)

    def _ended_since_s(self, instance_id: str) -> float | None:
        """Seconds since it reached `terminated`, a second after it began to shut down."""
        (life,) = [life for life in witness.lives(self.sim.world) if life.instance_id == instance_id]
        if life.ended_at_s is None or self.sim.clock.passed_s < life.ended_at_s + 1:
            return None
        return self.sim.clock.passed_s - life.ended_at_s - 1

    def _made(self) -> list[str]:
        return [life.instance_id for life in witness.lives(self.sim.world)]

    @rule(which=st.integers(0, 20))
    def end_one(self, which: int) -> None:
        living = witness.live(self.sim.world)
        if living:
            self.sim.controls.terminate(ids(living[which % len(living)].id))

    @rule(token=TOKENS, subnet=SUBNETS)
    def end_a_launch(self, token: str, subnet: str) -> None:
        alive = {one.id for one in witness.live(self.sim.world)} & set(self.launched.get((token, subnet), (0, []))[1])
        if alive:
            self.sim.controls.terminate(ids(*sorted(alive)))

    @rule(seconds=st.sampled_from([0.5, 2.0, 4000.0, REMEMBERED_S, REMEMBERED_S + 5]))
    def wait(self, seconds: float) -> None:
        self.sim.clock.advance(seconds)

    @rule(count=st.sampled_from([0, 1, None]))
    def limit_capacity(self, count: int | None) -> None:
        self.sim.controls.capacity("t3.small", "us-east-1a", count)

    @rule(seconds=st.sampled_from([0.0, 30.0]))
    def lag(self, seconds: float) -> None:
        self.sim.controls.lag(seconds)

    @invariant()
    def every_machine_is_accounted_for(self) -> None:
        known = {one for _, made in self.launched.values() for one in made}
        assert {one.id for one in witness.live(self.sim.world)} <= known


TestTokenLaw = TokenLaw.TestCase
TestTokenLaw.settings = settings(
    max_examples=60, stateful_step_count=30, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
