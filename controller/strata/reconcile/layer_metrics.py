"""What Prometheus is told of each layer. Read from the cache at a scrape, by the leader alone."""

from collections import Counter
from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from strata.clock import Clock
from strata.reconcile.load_metrics import Decisions, Facts, load_metrics
from strata.reconcile.objects import Objects
from strata.reconcile.rollout_metrics import rollout_gauges
from strata.reconcile.rule_metrics import rule_gauges
from strata.reconcile.spot_metrics import SpotTally, spot_gauges
from strata.resources.instance import Phase
from strata.resources.layer import Layer
from strata.resources.load import LoadStatus
from strata.resources.meta import is_true

_LABELS = ("stack", "layer")


class LayerTally:
    """Counts by layer that no object holds. They begin anew with each leadership, as Prometheus' counters may."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.heals: Counter[tuple[str, str, str]] = Counter()
        self.launches: Counter[tuple[str, str]] = Counter()
        self.load_decisions: Decisions = Counter()
        self.spot = SpotTally()
        self.launch_failures: Counter[tuple[str, str, str]] = Counter()
        self._reconciled_s: dict[tuple[str, str], float] = {}

    def begins(self, stack: str, layer: str) -> None:
        """A pass begins: one that never succeeds has an age as well."""
        self._reconciled_s.setdefault((stack, layer), self._clock.monotonic_s())

    def reconciled(self, stack: str, layer: str) -> None:
        """A pass came to its end."""
        self._reconciled_s[stack, layer] = self._clock.monotonic_s()

    def since_reconcile_s(self, stack: str, layer: str) -> float | None:
        at = self._reconciled_s.get((stack, layer))
        return None if at is None else self._clock.monotonic_s() - at

    def decided(self, layer: Layer, load: LoadStatus) -> None:
        """The layer's load is written anew: count what it decided, if it did."""
        sample = load.sample
        if sample is None or sample == layer.status.load.sample:
            return
        direction = "up" if sample.change > 0 else "down"
        for one in sample.values:
            self.load_decisions[layer.metadata.namespace, layer.metadata.name, direction, one.signal] += 1

    def forget(self, stack: str, layer: str) -> None:
        """The layer is gone: its series end."""
        self._reconciled_s.pop((stack, layer), None)
        self.launches.pop((stack, layer), None)
        self.spot.forget(stack, layer)
        for counter in (self.heals, self.launch_failures, self.load_decisions):
            for key in [key for key in counter if key[:2] == (stack, layer)]:
                del counter[key]


class LayerCollector(Collector):
    """Registered while this daemon leads."""

    def __init__(self, objects: Objects, tally: LayerTally, signals: Facts) -> None:
        self._objects = objects
        self._tally = tally
        self._signals = signals

    def collect(self) -> Iterator[Metric]:
        yield from self._gauges()
        yield from rule_gauges(stored.object for stored in self._objects.layers())
        yield from rollout_gauges(stored.object for stored in self._objects.layers())
        yield from spot_gauges(stored.object for stored in self._objects.layers())
        yield from self._tally.spot.counters()
        yield from self._load()
        yield from self._counters()
        yield from self._conditions()
        yield self._orphans_held()

    def _load(self) -> Iterator[Metric]:
        layers = (stored.object for stored in self._objects.layers())
        yield from load_metrics(layers, self._signals, self._tally.load_decisions)

    def _gauges(self) -> Iterator[Metric]:
        desired = GaugeMetricFamily("strata_layer_desired", "Machines that the layer should have", labels=_LABELS)
        phases = GaugeMetricFamily(
            "strata_layer_instances", "Instances of the layer, by phase", labels=(*_LABELS, "phase")
        )
        protected = GaugeMetricFamily("strata_layer_protected", "1 while the layer's breaker is open", labels=_LABELS)
        age = GaugeMetricFamily(
            "strata_layer_last_reconcile_age_seconds", "Time since a pass of the layer did not fail", labels=_LABELS
        )
        for stored in self._objects.layers():
            self._add_gauges(stored.object, desired, phases, protected, age)
        yield from (desired, phases, protected, age)

    def _add_gauges(
        self,
        layer: Layer,
        desired: GaugeMetricFamily,
        phases: GaugeMetricFamily,
        protected: GaugeMetricFamily,
        age: GaugeMetricFamily,
    ) -> None:
        labels = (layer.metadata.namespace, layer.metadata.name)
        desired.add_metric(labels, layer.status.desired)
        protected.add_metric(labels, is_true(layer.status.conditions, "Protected"))
        for phase in Phase:
            phases.add_metric((*labels, phase.value), layer.status.instances.get(phase.value, 0))
        age_s = self._tally.since_reconcile_s(*labels)
        if age_s is not None:
            age.add_metric(labels, age_s)

    def _counters(self) -> Iterator[Metric]:
        heals = CounterMetricFamily(
            "strata_layer_heals", "Machines replaced or restarted, by reason", labels=(*_LABELS, "reason")
        )
        launches = CounterMetricFamily("strata_layer_launches", "Machines launched", labels=_LABELS)
        failures = CounterMetricFamily(
            "strata_layer_launch_failures", "Launches refused, by reason", labels=(*_LABELS, "reason")
        )
        for (stack, layer, reason), count in self._tally.heals.items():
            heals.add_metric((stack, layer, reason), count)
        for (stack, layer), count in self._tally.launches.items():
            launches.add_metric((stack, layer), count)
        for (stack, layer, reason), count in self._tally.launch_failures.items():
            failures.add_metric((stack, layer, reason), count)
        yield from (heals, launches, failures)

    def _conditions(self) -> Iterator[Metric]:
        """1 where the condition is True, 0 where it is False or Unknown; its reason is a label."""
        stacks = GaugeMetricFamily("strata_stack_condition", "A stack's condition", labels=("stack", "type", "reason"))
        layers = GaugeMetricFamily("strata_layer_condition", "A layer's condition", labels=(*_LABELS, "type", "reason"))
        for stack in self._objects.stacks():
            for c in stack.object.status.conditions:
                stacks.add_metric((stack.object.metadata.name, c.type, c.reason), c.status == "True")
        for layer in self._objects.layers():
            labels = (layer.object.metadata.namespace, layer.object.metadata.name)
            for c in layer.object.status.conditions:
                layers.add_metric((*labels, c.type, c.reason), c.status == "True")
        yield from (stacks, layers)

    def _orphans_held(self) -> Metric:
        orphans = GaugeMetricFamily(
            "strata_orphans_held", "1 for each stack whose OrphansHeld condition is true, else 0", labels=("stack",)
        )
        for stack in self._objects.stacks():
            held = is_true(stack.object.status.conditions, "OrphansHeld")
            orphans.add_metric((stack.object.metadata.name,), held)
        return orphans
