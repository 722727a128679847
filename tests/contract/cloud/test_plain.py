"""What every cloud does on a good day, and how it refuses."""

from uuid import uuid4

from tests.contract.cloud.worlds import CloudWorld, refusal

from strata.errors import CloudErrorKind
from strata.resources.machine import Image, Machine, Subnet

UNKNOWN = "i-0fffffffffffffff1"


async def launch(world: CloudWorld, count: int = 1) -> tuple[str, tuple[Machine, ...]]:
    token = f"plain-{uuid4()}"
    machines = await world.cloud.run_instances(world.request(token, count))
    world.settle()
    return token, machines


async def look(world: CloudWorld, *ids: str) -> dict[str, Machine]:
    return {machine.instance_id: machine for machine in await world.cloud.describe_instances([("instance-id", ids)])}


async def test_a_launch_gives_machines_as_they_were_asked_for(world: CloudWorld) -> None:
    token, (machine,) = await launch(world)
    assert machine.state == "pending"
    assert (machine.type, machine.zone, machine.image_id) == ("t3.small", world.zone, world.image_id)
    assert (machine.client_token, machine.lifecycle, machine.ami_launch_index) == (token, "on-demand", 0)
    assert machine.tags == {"run": token, "note": "<ä & b>"}
    assert machine.private_ip


async def test_a_launched_machine_runs_and_is_found_by_its_tag(world: CloudWorld) -> None:
    token, (machine,) = await launch(world)
    (found,) = await world.cloud.describe_instances([("tag:run", (token,))])
    assert (found.instance_id, found.state, found.subnet_id) == (machine.instance_id, "running", world.subnet_id)


async def test_filters_are_joined_by_and_their_values_by_or(world: CloudWorld) -> None:
    one, _ = await launch(world)
    two, _ = await launch(world)
    describe = world.cloud.describe_instances
    assert len(await describe([("tag:run", (one, two))])) == 2
    assert len(await describe([("tag:run", (one, two)), ("instance-state-name", ("running", "pending"))])) == 2
    assert await describe([("tag:run", (one,)), ("instance-state-name", ("stopped",))]) == ()
    assert await describe([("tag:run", (one,)), ("tag:note", ("other",))]) == ()


async def test_an_unknown_id_among_those_filtered_for_is_left_out(world: CloudWorld) -> None:
    _, (machine,) = await launch(world)
    assert set(await look(world, UNKNOWN, machine.instance_id)) == {machine.instance_id}


async def test_health_of_an_unknown_id_is_left_out(world: CloudWorld) -> None:
    _, (machine,) = await launch(world)
    (health,) = await world.cloud.describe_health([UNKNOWN, machine.instance_id])
    assert (health.instance_id, health.state, health.checks) == (machine.instance_id, "running", "ok")
    assert await world.cloud.describe_health([UNKNOWN]) == ()


async def test_asking_for_nothing_is_answered_with_nothing(world: CloudWorld) -> None:
    await launch(world)
    assert await world.cloud.describe_health([]) == ()
    assert await world.cloud.describe_images([]) == ()
    assert await world.cloud.describe_subnets([]) == ()
    assert await world.cloud.get_parameters([]) == {}


async def test_a_healthy_fleet_has_nothing_impaired(world: CloudWorld) -> None:
    _, (machine,) = await launch(world)
    assert machine.instance_id not in {health.instance_id for health in await world.cloud.describe_impaired()}


async def test_a_machine_stops_and_starts_and_keeps_its_address(world: CloudWorld) -> None:
    _, (machine,) = await launch(world)
    await world.cloud.stop_instances([machine.instance_id])
    world.settle()
    stopped = (await look(world, machine.instance_id))[machine.instance_id]
    assert (stopped.state, stopped.private_ip) == ("stopped", machine.private_ip)
    await world.cloud.start_instances([machine.instance_id])
    world.settle()
    started = (await look(world, machine.instance_id))[machine.instance_id]
    assert (started.state, started.private_ip) == ("running", machine.private_ip)


async def test_a_reboot_leaves_a_machine_running(world: CloudWorld) -> None:
    _, (machine,) = await launch(world)
    await world.cloud.reboot_instances([machine.instance_id])
    assert (await look(world, machine.instance_id))[machine.instance_id].state == "running"


async def test_termination_is_final_seen_with_its_reason_and_idempotent(world: CloudWorld) -> None:
    _, (machine,) = await launch(world)
    await world.cloud.terminate_instances([machine.instance_id])
    await world.cloud.terminate_instances([machine.instance_id])
    world.settle()
    gone = (await look(world, machine.instance_id))[machine.instance_id]
    assert (gone.state, gone.live) == ("terminated", False)
    assert gone.state_reason == "Client.UserInitiatedShutdown"


async def test_termination_with_an_unknown_id_does_nothing_and_names_it(world: CloudWorld) -> None:
    _, (machine,) = await launch(world)
    error = await refusal(world.cloud.terminate_instances([machine.instance_id, UNKNOWN]))
    assert (error.kind, error.ids) == (CloudErrorKind.NOT_FOUND, (UNKNOWN,))
    assert (error.code, error.action) == ("InvalidInstanceID.NotFound", "TerminateInstances")
    assert (await look(world, machine.instance_id))[machine.instance_id].state == "running"


async def test_tags_are_added_and_replaced_on_all_named(world: CloudWorld) -> None:
    _, (one,) = await launch(world)
    _, (two,) = await launch(world)
    ids = [one.instance_id, two.instance_id]
    await world.cloud.create_tags(ids, {"Name": "web & <1>", "note": "new"})
    await world.cloud.create_tags(ids, {"Name": "web & <1>"})
    for found in (await look(world, *ids)).values():
        assert found.tags["Name"] == "web & <1>"
        assert found.tags["note"] == "new"
        assert "run" in found.tags


async def test_the_account_of_the_credentials_is_told(world: CloudWorld) -> None:
    assert await world.cloud.account() == "123456789012"


async def test_subnets_that_do_not_exist_are_left_out(world: CloudWorld) -> None:
    found = await world.cloud.describe_subnets([world.subnet_id, "subnet-0fffffffffffffff1"])
    assert found == (Subnet(world.subnet_id, world.zone, world.vpc_id),)


async def test_images_that_do_not_exist_are_left_out(world: CloudWorld) -> None:
    (found,) = await world.cloud.describe_images([world.image_id, "ami-0fffffffffffffff1"])
    assert found == Image(world.image_id, found.root_device_name, "x86_64", "available")
    assert found.root_device_name.startswith("/dev/")


async def test_parameters_that_do_not_exist_are_left_out(world: CloudWorld) -> None:
    name, value = world.parameter
    many = [f"/test/nothing-{number}" for number in range(25)]  # more than one call takes
    assert await world.cloud.get_parameters([*many, name]) == {name: value}


async def test_a_filter_without_values_is_refused(world: CloudWorld) -> None:
    error = await refusal(world.cloud.describe_instances([("instance-id", ())]))
    assert error.kind is CloudErrorKind.INVALID


async def test_a_launch_into_a_subnet_that_is_not_there_is_refused_for_good(world: CloudWorld) -> None:
    error = await refusal(world.cloud.run_instances(world.request(f"t-{uuid4()}", SubnetId="subnet-0fffffffffffffff1")))
    assert error.kind is CloudErrorKind.NOT_FOUND
    assert error.kind.definitive


async def test_a_spot_launch_gives_spot_machines(world: CloudWorld) -> None:
    options = {"MarketType": "spot", "SpotOptions": {"SpotInstanceType": "one-time"}}
    (machine,) = await world.cloud.run_instances(world.request(f"spot-{uuid4()}", InstanceMarketOptions=options))
    assert machine.lifecycle == "spot"
    assert await world.cloud.describe_spot_requests([("tag:run", ("nobody",)), ("state", ("active",))]) == ()
