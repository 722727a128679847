"""What Prometheus is told of machines that are bought as spot, and of what EC2 says of them."""

from collections import Counter
from collections.abc import Iterable, Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from strata.planner.layer_plan import LayerPlan
from strata.resources import reasons
from strata.resources.launch import Launch, LaunchStatus
from strata.resources.layer import Layer

_LABELS = ("stack", "layer")
_KINDS = {reasons.SPOT_INTERRUPTED: "interruption", reasons.REBALANCE: "rebalance"}


class SpotTally:
    """Counts by layer that no object holds."""

    def __init__(self) -> None:
        self._notices: Counter[tuple[str, str, str]] = Counter()
        self._fallbacks: Counter[tuple[str, str]] = Counter()

    def planned(self, stack: str, layer: str, plan: LayerPlan) -> None:
        """A plan was carried out: count the machines that leave because EC2 said so."""
        kinds = (_KINDS.get(one.leave.reason) for one in plan.leave if not one.leave.drained)
        self._notices.update((stack, layer, kind) for kind in kinds if kind)

    def unannounced(self, stack: str, layer: str) -> None:
        """EC2 took a machine back, and nobody here had heard of it before."""
        self._notices[stack, layer, "unannounced"] += 1

    def launched(self, launch: Launch, status: LaunchStatus) -> None:
        """A launch was answered: count those that got an on-demand machine and wanted a spot one."""
        filled = {assignment.uid for assignment in status.assignments}
        fallen = (member for member in launch.spec.members if member.fallback and member.uid in filled)
        self._fallbacks.update((launch.metadata.namespace, member.layer) for member in fallen)

    def forget(self, stack: str, layer: str) -> None:
        self._fallbacks.pop((stack, layer), None)
        for key in [key for key in self._notices if key[:2] == (stack, layer)]:
            del self._notices[key]

    def counters(self) -> Iterator[Metric]:
        notices = CounterMetricFamily(
            "strata_layer_spot_notices",
            "Spot machines that EC2 takes back (interruption), recommends to replace (rebalance), or took back without "
            "a word that was heard (unannounced)",
            labels=(*_LABELS, "kind"),
        )
        fallbacks = CounterMetricFamily(
            "strata_layer_spot_fallbacks", "Machines bought on demand for want of spot capacity", labels=_LABELS
        )
        for labels, count in self._notices.items():
            notices.add_metric(labels, count)
        for layer, count in self._fallbacks.items():
            fallbacks.add_metric(layer, count)
        yield from (notices, fallbacks)


def spot_gauges(layers: Iterable[Layer]) -> Iterator[Metric]:
    """All from the layers' last status."""
    wanted = GaugeMetricFamily("strata_layer_spot_wanted", "Slots that are to be spot", labels=_LABELS)
    running = GaugeMetricFamily("strata_layer_spot_running", "Slots with a spot machine", labels=_LABELS)
    fallback = GaugeMetricFamily(
        "strata_layer_spot_fallback", "Slots with an on-demand machine for want of spot capacity", labels=_LABELS
    )
    for layer in layers:
        spot, labels = layer.status.spot, (layer.metadata.namespace, layer.metadata.name)
        if spot is not None:
            wanted.add_metric(labels, spot.wanted)
            running.add_metric(labels, spot.running)
            fallback.add_metric(labels, spot.fallback)
    yield from (wanted, running, fallback)
