"""What is known of the layers' load, from all sources; and which layers it would change.

After each reading the pure decision is made for the layers concerned, and only those are queued for which it would
change something: a minute in which nothing happens costs no pass.
"""

import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from strata.clock import Clock
from strata.cloud.port import CloudWatch
from strata.planner.facts import SignalFact, Unknown
from strata.planner.load import signals_of
from strata.planner.wanted import load_would_change, wanted
from strata.reconcile.cloud_signals import CloudSignals
from strata.reconcile.objects import Objects, Stored
from strata.reconcile.prometheus_signals import PrometheusSignals
from strata.resources.kinds import LAYER, ObjectKey
from strata.resources.layer import Layer
from strata.resources.load import Signal
from strata.resources.stack import Stack
from strata.signals.port import PrometheusSource


@dataclass(frozen=True, slots=True, kw_only=True)
class SignalSources:
    """Where signals come from: CloudWatch by region and endpoint's name (raises CloudError), Prometheus by its name in
    the settings (raises SignalError)."""

    cloudwatch: Callable[[str, str | None], CloudWatch]
    prometheus: PrometheusSource


class Signals:
    """One a leadership; what it knows is read by the Layer pass and by the metrics. `cloud` has what is read for a
    stack's region, or why that is not known; `queue` asks for a pass."""

    def __init__(
        self,
        sources: SignalSources,
        objects: Objects,
        cloud: Callable[[Stored[Stack]], CloudSignals | Unknown],
        *,
        queue: Callable[[ObjectKey], None],
        every_s: float,
        clock: Clock,
        rng: random.Random,
    ) -> None:
        self._objects = objects
        self._cloud = cloud
        self._queue = queue
        self._clock = clock
        self.prometheus = PrometheusSignals(
            sources.prometheus, objects, judge=self.judge, every_s=every_s, clock=clock, rng=rng
        )

    def facts(self, layer: Layer) -> dict[str, SignalFact]:
        """What is known of each signal that the layer's rules need."""
        load, stack = layer.spec.capacity.load, self._objects.stack(layer.metadata.namespace)
        if load is None or stack is None:
            return {}
        cloud = self._cloud(stack)
        by_name = {signal.name: signal for signal in load.signals}
        return {name: self._fact(by_name.get(name), layer, stack.object, cloud) for name in signals_of(load)}

    def judge(self, layers: Iterable[Stored[Layer]]) -> None:
        """Queue those that the load would change now."""
        now = self._clock.now()
        for read in layers:
            metadata = read.object.metadata
            stored = self._objects.layer(metadata.namespace, metadata.name)  # as it is now: reading took its time
            if stored is None:
                continue
            stack = self._objects.stack(metadata.namespace)
            number = wanted(stored.object, stack.object if stack else None, now, self.facts(stored.object))
            if load_would_change(stored.object, number):
                self._queue(ObjectKey(LAYER, metadata.name, metadata.namespace))

    def _fact(self, signal: Signal | None, layer: Layer, stack: Stack, cloud: CloudSignals | Unknown) -> SignalFact:
        if signal is not None and signal.prometheus is not None:
            return self.prometheus.fact(signal.prometheus)
        if isinstance(cloud, Unknown):
            return cloud
        if signal is not None and signal.cloudwatch_alarm is not None:
            return cloud.alarm(signal.cloudwatch_alarm)
        return cloud.cpu(layer, stack)
