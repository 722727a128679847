"""What Prometheus is told of the layers' load: the signals as they are read, what was decided, and what it adds."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from strata.planner.facts import Alarm, Known, Series, SignalFact
from strata.resources.layer import Layer

_LABELS = ("stack", "layer")
_SIGNAL_LABELS = (*_LABELS, "signal")
Facts = Callable[[Layer], Mapping[str, SignalFact]]
Decisions = Counter[tuple[str, str, str, str]]  # by stack, layer, direction and signal


def load_metrics(layers: Iterable[Layer], facts: Facts, decisions: Decisions) -> Iterator[Metric]:
    """All of the layers that have load rules."""
    extra = GaugeMetricFamily("strata_layer_load_extra", "Machines that the load adds", labels=_LABELS)
    value = GaugeMetricFamily(
        "strata_layer_signal", "The newest number of a signal; of an alarm, 1 in ALARM", labels=_SIGNAL_LABELS
    )
    known = GaugeMetricFamily(
        "strata_layer_signal_known", "1 where a signal is read and fresh, else 0", labels=_SIGNAL_LABELS
    )
    for layer in layers:
        if layer.spec.capacity.load is None:
            continue
        labels = (layer.metadata.namespace, layer.metadata.name)
        extra.add_metric(labels, layer.status.load.extra)
        for name, fact in facts(layer).items():
            known.add_metric((*labels, name), isinstance(fact, Known))
            if isinstance(fact, Known):
                value.add_metric((*labels, name), _newest(fact))
    yield from (extra, value, known, _counted(decisions))


def _newest(fact: Known[Series] | Known[Alarm]) -> float:
    if isinstance(fact.value, Alarm):
        return float(fact.value.state.value == "ALARM")
    return fact.value.points[-1].value


def _counted(decisions: Decisions) -> Metric:
    counter = CounterMetricFamily(
        "strata_layer_load_decisions",
        "Changes that the load made, by direction and by each signal that asked for it",
        labels=(*_LABELS, "direction", "signal"),
    )
    for labels, count in decisions.items():
        counter.add_metric(labels, count)
    return counter
