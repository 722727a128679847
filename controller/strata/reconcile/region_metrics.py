"""Series of each region, from the leader alone: what waits for a person, or for time, before it is acted on."""

from collections.abc import Iterator

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from strata.reconcile.regions import Regions, name_of


class RegionCollector(Collector):
    """Registered while this daemon leads."""

    def __init__(self, regions: Regions) -> None:
        self._regions = regions

    def collect(self) -> Iterator[Metric]:
        held = GaugeMetricFamily(
            "strata_region_orphans_held", "Machines that no record accounts for and a person has to decide on",
            labels=("region",),
        )  # fmt: skip
        missing = GaugeMetricFamily(
            "strata_region_machines_missing", "Machines that vanished, where they are too many to be taken as gone",
            labels=("region",),
        )  # fmt: skip
        unreadable: set[str] = set()
        for region in self._regions.all():
            held.add_metric((name_of(region.where),), len(region.reaper.records.held))
            missing.add_metric((name_of(region.where),), region.observer.many_missing())
            unreadable |= region.reaper.records.unreadable
        poisoned = GaugeMetricFamily(
            "strata_orphan_records_unreadable", "Records of held machines that cannot be decoded"
        )
        poisoned.add_metric((), len(unreadable))
        yield from (held, missing, poisoned)
