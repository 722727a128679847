"""EC2's client token rules, as the launch protocol leans on them."""

import pytest
from tests.unit.sim.kit import BOOTED_S, Sim, tags

from strata_sim import witness
from strata_sim.controls import ids
from strata_sim.errors import Ec2Error
from strata_sim.tokens import REMEMBERED_S


def test_the_same_token_and_parameters_give_the_same_machines(sim: Sim) -> None:
    first = sim.run(3, under="t")
    again = sim.run(3, under="t")
    assert again.reservation_id == first.reservation_id
    assert [s.instance.id for s in again.seen] == [s.instance.id for s in first.seen]
    assert len(sim.ids()) == 3


def test_a_repeated_launch_shows_the_machines_in_their_present_state(sim: Sim) -> None:
    sim.launch(2, under="t")
    sim.clock.advance(BOOTED_S)
    assert [seen.view.state for seen in sim.run(2, under="t").seen] == ["running", "running"]


def test_a_repeated_launch_shows_what_lagging_describes_hide(sim: Sim) -> None:
    sim.controls.lag(60)
    made = sim.launch(1, under="t")
    assert sim.ids() == []
    assert sim.launch(1, under="t") == made


@pytest.mark.parametrize(
    "changes",
    [
        {"MaxCount": 3},
        {"MinCount": 2},
        {"InstanceType": "t3.micro"},
        {"KeyName": "ops"},
        {"TagSpecifications": tags(a="b")},
    ],
)
def test_changed_parameters_are_a_mismatch(sim: Sim, changes: dict[str, object]) -> None:
    sim.launch(2, under="t")
    with pytest.raises(Ec2Error) as refused:
        sim.run(2, under="t", **changes)
    assert refused.value.code == "IdempotentParameterMismatch"
    assert len(sim.ids()) == 2


def test_the_token_in_another_zone_is_another_launch(sim: Sim) -> None:
    first = sim.launch(1, under="t")
    second = sim.launch(1, under="t", SubnetId="subnet-0b")
    assert first != second
    assert set(witness.doubled(sim.world)) == {"t"}


def test_the_token_of_terminated_machines_is_refused(sim: Sim) -> None:
    sim.terminate(*sim.launch(2, under="t"))
    sim.clock.advance(5)
    with pytest.raises(Ec2Error) as refused:
        sim.run(2, under="t")
    assert refused.value.code == "IdempotentInstanceTerminated"


def test_a_launch_of_which_one_machine_lives_is_still_answered(sim: Sim) -> None:
    first, second = sim.launch(2, under="t")
    sim.controls.terminate(ids(first))
    sim.clock.advance(5)
    states = {seen.instance.id: seen.view.state for seen in sim.run(2, under="t").seen}
    assert states == {first: "terminated", second: "running"}


def test_a_token_is_remembered_for_a_day_after_termination_and_then_forgotten(sim: Sim) -> None:
    sim.terminate(*sim.launch(1, under="t"))
    sim.clock.advance(REMEMBERED_S)
    with pytest.raises(Ec2Error, match="IdempotentInstanceTerminated"):
        sim.run(1, under="t")
    sim.clock.advance(5)
    assert len(sim.launch(1, under="t")) == 1


def test_a_launch_that_failed_does_not_use_up_its_token(sim: Sim) -> None:
    sim.controls.capacity("t3.small", "us-east-1a", 0)
    with pytest.raises(Ec2Error, match="InsufficientInstanceCapacity"):
        sim.run(1, under="t")
    sim.controls.capacity("t3.small", "us-east-1a", None)
    assert len(sim.launch(1, under="t")) == 1


def test_launches_without_a_token_are_all_their_own(sim: Sim) -> None:
    assert sim.launch(1) != sim.launch(1)


def test_a_repeat_is_answered_after_its_image_is_gone(sim: Sim) -> None:
    made = sim.launch(1, under="t")
    sim.world.region("us-east-1").images.clear()
    assert sim.launch(1, under="t") == made
