"""States and their transitions: by the clock, by a call, by the world."""

import pytest
from tests.unit.sim.kit import BOOTED_S, Sim

from strata_sim import actions, witness
from strata_sim.controls import SPOT_RECLAIM, ids
from strata_sim.errors import Ec2Error
from strata_sim.knobs import Delays


def test_a_machine_boots_in_its_own_time(sim: Sim) -> None:
    sim.controls.delays(Delays(pending_s=10, status_ok_s=50))
    sim.launch(1)
    seen = []
    for _ in range(4):
        (one,) = sim.describe()
        seen.append((one.view.state, one.view.checks[0]))
        sim.clock.advance(20)
    assert seen == [
        ("pending", "initializing"),
        ("running", "initializing"),
        ("running", "initializing"),
        ("running", "ok"),
    ]


def test_terminated_machines_are_seen_for_an_hour(sim: Sim) -> None:
    (one,) = sim.launch(1)
    sim.terminate(one)
    assert sim.states() == ["shutting-down"]
    sim.clock.advance(1)
    (seen,) = sim.describe()
    assert (seen.view.state, seen.view.reason.code) == ("terminated", "Client.UserInitiatedShutdown")
    sim.clock.advance(3599)
    assert sim.states() == ["terminated"]
    sim.clock.advance(2)
    assert sim.states() == []


def test_termination_is_idempotent_and_the_first_reason_stays(sim: Sim) -> None:
    (one,) = sim.launch(1)
    sim.controls.terminate(ids(one), SPOT_RECLAIM)
    sim.terminate(one)
    sim.clock.advance(5)
    sim.terminate(one)
    (seen,) = sim.describe()
    assert seen.view.reason.code == SPOT_RECLAIM
    assert witness.ended_by(sim.world) == {one: "world"}


def test_a_stop_and_start_keeps_the_private_address_and_moves_the_launch_time(sim: Sim) -> None:
    (one,) = sim.launch(1)
    sim.clock.advance(BOOTED_S)
    (before,) = sim.describe()
    sim.call(actions.STOP_INSTANCES, InstanceIds=[one])
    assert sim.states() == ["stopping"]
    sim.clock.advance(1)
    (stopped,) = sim.describe()
    assert (stopped.view.state, stopped.view.public_ip) == ("stopped", "")
    assert stopped.view.private_ip == before.view.private_ip
    sim.call(actions.START_INSTANCES, InstanceIds=[one])
    sim.clock.advance(BOOTED_S)
    (after,) = sim.describe()
    assert after.view.state == "running"
    assert after.view.launched_at > before.view.launched_at
    assert (after.view.private_ip, after.view.reason.code) == (before.view.private_ip, "")


@pytest.mark.parametrize(
    ("action", "state"),
    [
        (actions.STOP_INSTANCES, "pending"),
        (actions.STOP_INSTANCES, "terminated"),
        (actions.START_INSTANCES, "stopping"),
        (actions.START_INSTANCES, "terminated"),
        (actions.REBOOT_INSTANCES, "stopped"),
        (actions.REBOOT_INSTANCES, "terminated"),
    ],
)
def test_a_state_that_forbids_it_is_said(sim: Sim, action: actions.Action[object], state: str) -> None:
    (one,) = sim.launch(1)
    if state != "pending":
        sim.clock.advance(BOOTED_S)
        sim.controls.terminate(ids(one)) if state == "terminated" else sim.controls.stop(ids(one))
    if state in {"stopped", "terminated"}:
        sim.clock.advance(1)
    with pytest.raises(Ec2Error) as refused:
        sim.call(action, InstanceIds=[one])
    assert refused.value.code == "IncorrectInstanceState"
    assert sim.states() == [state]


def test_a_call_with_one_unknown_id_does_nothing_and_names_it(sim: Sim) -> None:
    (one,) = sim.launch(1)
    with pytest.raises(Ec2Error, match="'i-0000000000000000f, i-0000000000000000e' do not exist") as refused:
        sim.terminate("i-0000000000000000f", one, "i-0000000000000000e")
    assert refused.value.code == "InvalidInstanceID.NotFound"
    assert sim.states() == ["pending"]
    with pytest.raises(Ec2Error) as malformed:
        sim.terminate("nonsense")
    assert malformed.value.code == "InvalidInstanceID.Malformed"


def test_protection_holds_the_whole_zone_back_and_lets_others_go(sim: Sim) -> None:
    guarded, beside = sim.launch(2)
    (elsewhere,) = sim.launch(1, SubnetId="subnet-0b")
    sim.call(actions.MODIFY_INSTANCE_ATTRIBUTE, InstanceId=guarded, DisableApiTermination={"Value": True})
    with pytest.raises(Ec2Error) as refused:
        sim.terminate(guarded, beside, elsewhere)
    assert refused.value.code == "OperationNotPermitted"
    assert witness.ended_by(sim.world) == {elsewhere: "tester"}
    last = list(sim.world.log.since(0))[-1]
    assert (last.code, last.ended) == ("OperationNotPermitted", (elsewhere,))
    sim.call(actions.MODIFY_INSTANCE_ATTRIBUTE, InstanceId=guarded, DisableApiTermination={"Value": False})
    sim.terminate(guarded, beside)
    assert set(witness.ended_by(sim.world)) == {guarded, beside, elsewhere}


def test_a_start_needs_capacity(sim: Sim) -> None:
    (one,) = sim.launch(1)
    sim.clock.advance(BOOTED_S)
    sim.controls.stop(ids(one))
    sim.clock.advance(1)
    sim.controls.capacity("t3.small", "us-east-1a", 0)
    with pytest.raises(Ec2Error, match="InsufficientInstanceCapacity"):
        sim.call(actions.START_INSTANCES, InstanceIds=[one])
    assert sim.states() == ["stopped"]


def test_a_power_off_inside_stops_or_ends_as_launched(sim: Sim) -> None:
    (stops,) = sim.launch(1)
    (ends,) = sim.launch(1, InstanceInitiatedShutdownBehavior="terminate")
    sim.clock.advance(BOOTED_S)
    sim.controls.shut_down_inside(ids(stops, ends))
    sim.clock.advance(1)
    assert sim.states() == ["stopped", "terminated"]
    assert {seen.view.reason.code for seen in sim.describe()} == {"Client.InstanceInitiatedShutdown"}


def test_an_ill_is_cured_by_what_cures_it(sim: Sim) -> None:
    soft, hard, lasting = sim.launch(3)
    sim.clock.advance(BOOTED_S)
    sim.controls.impair(ids(soft), "instance")
    sim.controls.impair(ids(hard), "system")
    sim.controls.impair(ids(lasting), "ebs", lasting=True)

    def impaired() -> set[str]:
        rows = sim.call(actions.DESCRIBE_INSTANCE_STATUS).rows
        return {seen.instance.id for seen in rows if "impaired" in seen.view.checks}

    assert impaired() == {soft, hard, lasting}
    sim.call(actions.REBOOT_INSTANCES, InstanceIds=[soft, hard, lasting])
    assert impaired() == {hard, lasting}
    sim.call(actions.STOP_INSTANCES, InstanceIds=[hard, lasting])
    sim.clock.advance(1)
    sim.call(actions.START_INSTANCES, InstanceIds=[hard, lasting])
    sim.clock.advance(BOOTED_S)
    assert impaired() == {lasting}
    sim.controls.heal(ids(lasting))
    assert impaired() == set()


def test_impaired_since_stands_still_while_it_lasts(sim: Sim) -> None:
    (one,) = sim.launch(1)
    sim.clock.advance(BOOTED_S)
    began = sim.clock.now()
    sim.controls.impair(ids(one))
    sim.clock.advance(60)
    sim.controls.impair(ids(one), "system")
    (seen,) = sim.describe()
    assert seen.view.impaired_since == began
    sim.controls.heal(ids(one))
    assert sim.describe()[0].view.impaired_since is None


def test_the_witness_counts_how_many_lived_at_once(sim: Sim) -> None:
    (first,) = sim.launch(1)
    sim.terminate(first)
    (second,) = sim.launch(1)
    assert witness.peak_live(sim.world, {first, second}) == 1
    (third,) = sim.launch(1)
    assert witness.peak_live(sim.world, {first, second, third}) == 2
    assert [one.id for one in witness.live(sim.world)] == [second, third]
