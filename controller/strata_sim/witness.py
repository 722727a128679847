"""What really happened in a world, without lag: the questions that tests ask of it."""

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping

from strata.resources.machine import LIVE_STATES
from strata_sim.machines import Instance, Life
from strata_sim.world import World


def live(world: World, tags: Mapping[str, str] | None = None) -> list[Instance]:
    """Pending, running, stopping and stopped machines of all regions that have these tags."""
    wanted = (tags or {}).items()
    return [
        instance
        for region in world.regions
        for instance in region.instances.values()
        if instance.view.state in LIVE_STATES and wanted <= instance.view.tags.items()
    ]


def lives(world: World) -> Iterator[Life]:
    """Every machine that ever was, in the order of the making within a region."""
    for region in world.regions:
        yield from region.lives


def doubled(world: World) -> dict[str, set[str]]:
    """Client tokens under which more than one launch was made, ever, with the reservations."""
    reservations: dict[str, set[str]] = defaultdict(set)
    for life in lives(world):
        if life.client_token:
            reservations[life.client_token].add(life.reservation_id)
    return {token: found for token, found in reservations.items() if len(found) > 1}


def peak_live(world: World, instance_ids: Collection[str]) -> int:
    """How many of these were live at the same time, at most. One that ended as another began does not overlap it."""
    edges: list[tuple[float, int]] = []
    for life in lives(world):
        if life.instance_id in instance_ids:
            edges.append((life.made_at_s, 1))
            if life.ended_at_s is not None:
                edges.append((life.ended_at_s, -1))
    count = peak = 0
    for _, step in sorted(edges):
        count += step
        peak = max(peak, count)
    return peak


def ended_by(world: World) -> dict[str, str]:
    """Who ended each machine that is no longer live: a caller, "world", or "ec2"."""
    return {life.instance_id: life.ended_by for life in lives(world) if life.ended_at_s is not None}
