"""A few at a time; nobody's many make anybody else wait long."""

import asyncio

from strata.engine.turns import Turns


class World:
    """Everybody takes a second."""

    def __init__(self, at_once: int) -> None:
        self.turns = Turns(at_once)
        self.served: list[str] = []
        self.at_work = self.most_at_work = 0

    async def visit(self, owner: str, *, urgent: bool = False) -> None:
        async with self.turns.turn(owner, urgent=urgent):
            self.at_work += 1
            self.most_at_work = max(self.most_at_work, self.at_work)
            self.served.append(owner)
            await asyncio.sleep(1)
            self.at_work -= 1


async def test_no_more_are_served_at_once_than_may_be_and_all_are() -> None:
    world = World(3)
    await asyncio.gather(*(world.visit(f"o{n % 4}") for n in range(20)))
    assert (world.most_at_work, len(world.served)) == (3, 20)
    await world.visit("last")  # no place was lost


async def test_owners_take_turns_however_many_one_has() -> None:
    world = World(1)
    await asyncio.gather(*(world.visit("many") for _ in range(50)), world.visit("one"), world.visit("other"))
    assert world.served[:4] == ["many", "many", "one", "other"]


async def test_the_urgent_go_first_and_starve_nobody() -> None:
    world = World(1)
    plain = [world.visit("plain") for _ in range(3)]
    urgent = [world.visit("urgent", urgent=True) for _ in range(20)]
    await asyncio.gather(*plain, *urgent)
    assert world.served[:9] == ["plain", *["urgent"] * 7, "plain"]


async def test_who_is_cancelled_while_waiting_or_when_served_costs_no_place() -> None:
    world = World(1)
    async with asyncio.TaskGroup() as group:
        first = group.create_task(world.visit("first"))
        gone = group.create_task(world.visit("gone"))
        given = group.create_task(world.visit("given"))
        await asyncio.sleep(0.5)
        gone.cancel()
        await first
        given.cancel()  # it was given the turn, and has not begun
    await asyncio.wait_for(world.visit("last"), 5)
    assert world.served[-1] == "last"
